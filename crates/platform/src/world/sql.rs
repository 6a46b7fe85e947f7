//! Which database a service of this world stands on: its own file or memory, or a schema of an engine where the settings choose that and the
//! service is written for it.

use super::{Stores, World, all_migrations};
use crate::{
    db::{Db, Migration},
    engine,
    service::{BuildError, Manifest},
    settings::{Settings, SettingsError, Tables},
};

/// Whether a service's tables are in the data folder of its process, where no second process can use them.
pub fn is_in_folder(settings: &Settings, manifest: &Manifest) -> Result<bool, SettingsError> {
    Ok(!is_in_postgresql(settings, &all_migrations(manifest))?)
}

fn is_in_postgresql(settings: &Settings, migrations: &[Migration]) -> Result<bool, SettingsError> {
    Ok(settings.stores()?.sql == Tables::Postgresql && migrations.iter().all(|migration| migration.postgresql.is_some()))
}

impl World {
    /// The database of a service, not yet migrated.
    pub(super) fn database(&self, service: &'static str, migrations: &[Migration]) -> Result<Db, BuildError> {
        if is_in_postgresql(&self.0.settings, migrations)? {
            return self.schema(service);
        }
        let faults = self.0.faults.clone();
        Ok(match &self.0.stores {
            Stores::Memory => Db::in_memory(service, self.0.chance, faults)?,
            Stores::Folder(folder) => Db::open(service, &folder.join(format!("{service}.db")), self.0.platform.durability, faults)?,
        })
    }

    #[cfg(feature = "engines")]
    fn schema(&self, service: &'static str) -> Result<Db, BuildError> {
        let settings = self.0.settings.engines()?.postgresql;
        let options = crate::db::postgresql::Options {
            url: engine::postgresql(&settings).map_err(|error| BuildError::Other(error.to_string()))?,
            schema: Some(format!("{}{}", settings.schema_prefix, service.replace('-', "_"))),
            connections: settings.connections,
            patience: std::time::Duration::from_millis(settings.timeout_ms),
        };
        Ok(Db::postgresql(service, &options, self.0.chance, self.0.faults.clone())?)
    }

    #[cfg(not(feature = "engines"))]
    fn schema(&self, _: &'static str) -> Result<Db, BuildError> {
        engine::postgresql(&self.0.settings.engines()?.postgresql)
            .map(|never| match never {})
            .map_err(|error| BuildError::Other(error.to_string()))
    }
}
