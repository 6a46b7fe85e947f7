//! Which database a service of this world stands on: its own file or memory, or a schema on a server where the settings choose that and the
//! service is written for it.

use super::{Stores, World};
use crate::{
    db::{Db, Dialect, Migration},
    engine::At,
    service::{BuildError, Manifest},
    settings::{Settings, SettingsError},
};

/// Whether a service's tables are in the data folder of its process, where no second process can use them.
pub fn is_in_folder(settings: &Settings, manifest: &Manifest) -> Result<bool, SettingsError> {
    let (_, tables) = settings.stores()?.sql.of(manifest.name);
    Ok(At::of(tables).is_none())
}

impl World {
    /// The database of a service, not yet migrated.
    pub(super) fn database(&self, service: &'static str, migrations: &[Migration]) -> Result<Db, BuildError> {
        let (setting, tables) = self.0.settings.stores()?.sql.of(service);
        if let Some(at) = At::of(tables) {
            is_written_for(service, setting, at.dialect(), migrations)?;
            return self.schema(service, setting, at);
        }
        let faults = self.0.faults.clone();
        Ok(match &self.0.stores {
            Stores::Memory => Db::in_memory(service, self.0.chance, faults)?,
            Stores::Folder(folder) => Db::open(service, &folder.join(format!("{service}.db")), self.0.platform.durability, faults)?,
        })
    }

    #[cfg(feature = "engines")]
    fn schema(&self, service: &'static str, setting: &'static str, at: At) -> Result<Db, BuildError> {
        use std::time::Duration;

        use crate::{
            db::{Options, Replica},
            settings::Reads,
        };

        let engines = self.0.settings.engines()?;
        let url = at.address(setting, &engines).map_err(|error| BuildError::Other(error.to_string()))?;
        let (prefix, connections, timeout_ms) = match at {
            At::Postgresql => (engines.postgresql.schema_prefix, engines.postgresql.connections, engines.postgresql.timeout_ms),
            At::Mariadb => (engines.mariadb.schema_prefix, engines.mariadb.connections, engines.mariadb.timeout_ms),
        };
        let replica = match self.0.settings.stores()?.reads {
            Reads::Primary => None,
            Reads::Replica => {
                engines.mariadb.replica_url.map(|url| Replica { url, wait: Duration::from_millis(engines.mariadb.replica_wait_ms) })
            }
        };
        let options = Options {
            url,
            schema: Some(format!("{prefix}{}", service.replace('-', "_"))),
            connections,
            patience: Duration::from_millis(timeout_ms),
            replica: replica.filter(|_| at == At::Mariadb),
        };
        let (chance, faults) = (self.0.chance, self.0.faults.clone());
        Ok(match at {
            At::Postgresql => Db::postgresql(service, &options, chance, faults)?,
            At::Mariadb => Db::mariadb(service, &options, chance, faults)?,
        })
    }

    #[cfg(not(feature = "engines"))]
    fn schema(&self, _: &'static str, setting: &'static str, at: At) -> Result<Db, BuildError> {
        at.address(setting, &self.0.settings.engines()?).map(|never| match never {}).map_err(|error| BuildError::Other(error.to_string()))
    }
}

/// Whether all of a service's migrations are; what else it can stand on is told.
fn is_written_for(service: &str, setting: &str, dialect: Dialect, migrations: &[Migration]) -> Result<(), BuildError> {
    let is_written = |dialect: Dialect| migrations.iter().all(|migration| migration.written_for(dialect).is_some());
    if is_written(dialect) {
        return Ok(());
    }
    let others = [Dialect::Sqlite, Dialect::Postgresql, Dialect::Mariadb].into_iter().filter(|other| is_written(*other));
    let others: Vec<String> = others.map(|other| format!("\"{other}\"")).collect();
    Err(BuildError::Other(format!("`{setting}` is \"{dialect}\", for which {service} is not written; it can be {}", others.join(" or "))))
}
