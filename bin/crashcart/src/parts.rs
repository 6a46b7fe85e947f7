//! Which parts of the system a process has, and where it finds the others. All of them is the default and needs nothing. A process that has some
//! needs what processes share (a secret, a bus, a registry of schemas) and the addresses of whom its parts call: whatever of that is
//! missing is told before anything starts, with the key that says it.

use std::collections::{BTreeMap, BTreeSet};

use platform::{
    Settings,
    service::Manifest,
    settings::{Events, Goods, Objects, SettingsError},
    world::{Elsewhere, PlatformSettings, sql},
};

use crate::registry::SERVICES;

/// The name of the one part that is no service.
pub const GATEWAY: &str = "gateway";

/// Everything that can be named.
pub fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(GATEWAY).chain(SERVICES.iter().map(|manifest| manifest.name))
}

/// What a process has of the system.
#[derive(Clone, Debug)]
pub struct Parts {
    pub has_gateway: bool,
    /// In the order of the registry.
    pub services: Vec<&'static Manifest>,
    /// The services that are in other processes, as far as the settings say where.
    pub elsewhere: Vec<Elsewhere>,
}

/// Why a process cannot have these parts.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("`calls.{service}` is empty: {caller} {service}, which does not run in this process; say there where it is, or host it here")]
    Nowhere { service: &'static str, caller: String },
    #[error("`{key}` is not an address such as http://127.0.0.1:8106: {found}")]
    Address { key: String, found: String },
    #[error("`platform.signing_secret` is empty: the processes of one system need the same, of 32 bytes or more")]
    Secret,
    #[error("`{key}` is \"{found}\", which this process would have for itself: the processes of one system need \"{needed}\"")]
    OwnStore { key: &'static str, found: &'static str, needed: &'static str },
    #[error(
        "`stores.blobs` is \"disk\", the folder of one process: set it to \"s3\", or host catalog, which signs for objects, and the gateway, \
         which takes them in, in one process"
    )]
    OwnObjects,
    #[error(
        "`calls.{service}` names {count} processes, but {service} keeps its tables in its data folder, which is one process's: name one, or put \
         the tables on an engine (`stores.sql.{service}`; for inventory `stores.stock`) if {service} is written for it"
    )]
    OwnTables { service: &'static str, count: usize },
}

impl Parts {
    /// The whole system.
    #[must_use]
    pub fn all() -> Self {
        Self { has_gateway: true, services: SERVICES.to_vec(), elsewhere: Vec::new() }
    }

    /// The parts of these names ([`names`]); without a name, all.
    pub fn named(named: &[String], settings: &Settings) -> Result<Self, PartsError> {
        let is_named = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
        let (here, there): (Vec<_>, Vec<_>) = SERVICES.iter().copied().partition(|manifest| is_named(manifest.name));
        let mut parts = Self { has_gateway: is_named(GATEWAY), services: here, elsewhere: Vec::new() };
        if parts.has_gateway && there.is_empty() {
            return Ok(parts);
        }
        parts.check_shared(settings)?;
        let (calls, admins) = (addresses(settings, "calls")?, addresses(settings, "admins")?);
        let of = |addresses: &BTreeMap<String, Vec<String>>, name: &str| addresses.get(name).cloned().unwrap_or_default();
        for service in &parts.services {
            let count = of(&calls, service.name).len();
            if count > 1 && sql::is_in_folder(settings, service)? && !is_stocked_elsewhere(settings, service)? {
                return Err(PartsError::OwnTables { service: service.name, count });
            }
            if count > 1 && service.name == catalog::MANIFEST.name && settings.stores()?.blobs == Objects::Disk {
                return Err(PartsError::OwnObjects);
            }
        }
        for manifest in there {
            let urls = of(&calls, manifest.name);
            if urls.is_empty() {
                if let Some(caller) = parts.caller_of(manifest.name) {
                    return Err(PartsError::Nowhere { service: manifest.name, caller });
                }
                continue;
            }
            parts.elsewhere.push(Elsewhere { manifest, urls, admins: of(&admins, manifest.name) });
        }
        Ok(parts)
    }

    #[must_use]
    pub fn are_all(&self) -> bool {
        self.has_gateway && self.services.len() == SERVICES.len()
    }

    /// Who in this process cannot do without a service.
    fn caller_of(&self, service: &str) -> Option<String> {
        let callers: BTreeSet<&str> = self.services.iter().filter(|here| here.calls.contains(&service)).map(|here| here.name).collect();
        let gateway = self.has_gateway.then_some("the gateway");
        let all: Vec<&str> = callers.into_iter().chain(gateway).collect();
        (!all.is_empty()).then(|| format!("{} need{}", all.join(" and "), if all.len() == 1 { "s" } else { "" }))
    }

    /// What all processes of a system must have together.
    fn check_shared(&self, settings: &Settings) -> Result<(), PartsError> {
        let platform: PlatformSettings = settings.checked("platform")?;
        if platform.signing_secret.is_empty() {
            return Err(PartsError::Secret);
        }
        let stores = settings.stores()?;
        // Kafka asks for the registry of schemas itself.
        if stores.bus == Events::Log {
            return Err(PartsError::OwnStore { key: "stores.bus", found: "log", needed: "kafka" });
        }
        let has_catalog = self.services.iter().any(|service| service.name == catalog::MANIFEST.name);
        if stores.blobs == Objects::Disk && has_catalog != self.has_gateway {
            return Err(PartsError::OwnObjects);
        }
        Ok(())
    }
}

/// Whether a service's stock is on an engine; what it has beside it in its folder another process does not miss.
fn is_stocked_elsewhere(settings: &Settings, service: &Manifest) -> Result<bool, SettingsError> {
    Ok(service.name == inventory::MANIFEST.name && settings.stores()?.stock == Goods::Cassandra)
}

/// The addresses of a section whose keys are services.
fn addresses(settings: &Settings, section: &str) -> Result<BTreeMap<String, Vec<String>>, PartsError> {
    let told: BTreeMap<String, String> = settings.section(section)?;
    let mut all = BTreeMap::new();
    for (service, listed) in told {
        let urls: Vec<String> = listed.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
        let is_address =
            |url: &&String| reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if let Some(wrong) = urls.iter().find(|url| !is_address(url)) {
            return Err(PartsError::Address { key: format!("{section}.{service}"), found: wrong.clone() });
        }
        all.insert(service, urls);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use platform::settings::DEFAULTS;

    use super::*;

    /// What several processes share, and where everybody is.
    fn shared() -> Settings {
        let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap();
        let shared = [("bus", "kafka"), ("schemas", "registry"), ("blobs", "s3")];
        let tables = ["customer", "catalog", "pricing", "payment"].map(|service| (service, "postgresql"));
        let tables = tables.into_iter().chain(["cart", "order"].map(|service| (service, "mariadb")));
        let stores = shared.map(|(store, engine)| (store.to_owned(), engine)).into_iter();
        let stores = stores.chain(tables.map(|(service, engine)| (format!("sql.{service}"), engine)));
        let stores = stores.map(|(store, engine)| (format!("stores.{store}"), engine.to_owned()));
        let secret = ("platform.signing_secret".to_owned(), "a secret of thirty-two bytes or more".to_owned());
        let calls = SERVICES.iter().map(|service| (format!("calls.{}", service.name), format!("http://{}:8101", service.name)));
        let all = stores.chain([secret]).chain(calls);
        all.fold(settings, |settings, (path, value)| settings.with(&path, value).unwrap())
    }

    fn named(names: &[&str], settings: &Settings) -> Result<Parts, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Parts::named(&names, settings).map_err(|error| error.to_string())
    }

    fn refused(names: &[&str], (path, value): (&str, &str)) -> String {
        named(names, &shared().with(path, value).unwrap()).unwrap_err()
    }

    #[test]
    fn all_is_the_default_and_needs_nothing() {
        let parts = named(&[], &Settings::load(DEFAULTS, None, std::iter::empty()).unwrap()).unwrap();
        assert!(parts.are_all() && parts.elsewhere.is_empty());
    }

    #[test]
    fn each_part_can_stand_alone_and_knows_the_others() {
        for name in names() {
            let parts = named(&[name], &shared()).unwrap();
            assert_eq!(
                parts.services.iter().map(|service| service.name).collect::<Vec<_>>(),
                if name == GATEWAY { vec![] } else { vec![name] }
            );
            assert_eq!(parts.elsewhere.len(), SERVICES.len() - parts.services.len());
        }
    }

    #[test]
    fn whom_a_part_calls_must_be_somewhere() {
        let told = refused(&["order"], ("calls.payment", ""));
        assert!(told.starts_with("`calls.payment` is empty: order needs payment"), "{told}");
        let told = refused(&["gateway", "customer"], ("calls.cart", ""));
        assert!(told.starts_with("`calls.cart` is empty: customer and the gateway need"), "{told}");
        assert!(named(&["inventory"], &shared().with("calls.payment", "").unwrap()).is_ok(), "it calls nobody");
        let told = refused(&["order"], ("calls.payment", "payment:8106"));
        assert!(told.starts_with("`calls.payment` is not an address"), "{told}");
    }

    #[test]
    fn what_processes_share_must_be_shared() {
        for (path, value) in [("platform.signing_secret", ""), ("stores.bus", "log"), ("stores.blobs", "disk")] {
            let told = refused(&["catalog"], (path, value));
            assert!(told.starts_with(&format!("`{path}`")), "{told}");
        }
        assert!(named(&["catalog", "gateway"], &shared().with("stores.blobs", "disk").unwrap()).is_ok(), "the two that share it are one");
    }

    #[test]
    fn two_processes_of_a_service_need_their_tables_on_an_engine() {
        let two = "http://a:8101, http://b:8101";
        assert!(named(&["payment"], &shared().with("calls.payment", two).unwrap()).is_ok());
        let told = refused(&["inventory"], ("calls.inventory", two));
        assert!(told.starts_with("`calls.inventory` names 2 processes, but inventory keeps its tables"), "{told}");
        let stocked = shared().with("calls.inventory", two).unwrap().with("stores.stock", "cassandra").unwrap();
        assert!(named(&["inventory"], &stocked).is_ok(), "its stock is not in its folder");
        let embedded = shared().with("stores.sql.payment", "sqlite").unwrap().with("calls.payment", two).unwrap();
        assert!(named(&["payment"], &embedded).unwrap_err().contains("`stores.sql.payment`"));
        let signed_here = shared().with("calls.catalog", two).unwrap().with("stores.blobs", "disk").unwrap();
        assert!(
            named(&["catalog", "gateway"], &signed_here).unwrap_err().starts_with("`stores.blobs`"),
            "the other's objects are not here"
        );
    }

    #[test]
    fn every_service_has_a_place_in_the_settings_and_calls_only_what_there_is() {
        let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap();
        for section in ["calls", "admins"] {
            let listed: BTreeMap<String, Vec<String>> = addresses(&settings, section).unwrap();
            let all: BTreeSet<&str> = SERVICES.iter().map(|service| service.name).collect();
            assert_eq!(listed.keys().map(String::as_str).collect::<BTreeSet<_>>(), all, "[{section}]");
        }
        for called in SERVICES.iter().flat_map(|service| service.calls) {
            assert!(SERVICES.iter().any(|service| service.name == *called), "{called}");
        }
    }
}
