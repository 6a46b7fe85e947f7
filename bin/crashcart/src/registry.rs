//! The one list of what can run. A test holds it against the folders under `services/`.

use lab::target::Simulation;
use platform::{
    Settings,
    service::Manifest,
    settings::{Section, SettingsError},
    world::PlatformSettings,
};

/// Every service, in the order of the ledger, with psp, the mock of the outside world, last. Ports follow this order, from 8101 on.
pub const SERVICES: &[&Manifest] = &[
    &customer::MANIFEST,
    &catalog::MANIFEST,
    &pricing::MANIFEST,
    &cart::MANIFEST,
    &order::MANIFEST,
    &payment::MANIFEST,
    &inventory::MANIFEST,
    &psp::MANIFEST,
];

/// The simulated worlds have every service that there is.
pub const SIMULATION: Simulation = Simulation { manifests: SERVICES, planted: &[] };

type Check = fn(&Settings, &str) -> Result<(), SettingsError>;

/// The sections of the settings that are looked at before anything is made: the platform's, and those of the services.
const SECTIONS: &[(&str, Check)] = &[
    ("platform", check::<PlatformSettings>),
    ("customer", check::<customer::config::Config>),
    ("catalog", check::<catalog::config::Config>),
    ("pricing", check::<pricing::config::Config>),
    ("cart", check::<cart::config::Config>),
    ("order", check::<order::config::Config>),
    ("payment", check::<payment::config::Config>),
    ("inventory", check::<inventory::config::Config>),
    ("psp", check::<psp::config::Config>),
];

fn check<T: Section>(settings: &Settings, name: &str) -> Result<(), SettingsError> {
    settings.checked::<T>(name).map(drop)
}

/// Refuses settings that a service would refuse when it is built: a mistake is told before a folder is made or a port is bound.
pub fn check_settings(settings: &Settings) -> Result<(), SettingsError> {
    SECTIONS.iter().try_for_each(|(name, check)| check(settings, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_folders_agree() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services");
        let mut folders: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().join("Cargo.toml").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        folders.sort();
        let mut listed: Vec<String> = SERVICES.iter().map(|manifest| manifest.name.to_owned()).collect();
        listed.sort();
        assert_eq!(listed, folders);
    }

    #[test]
    fn the_settings_of_every_service_are_looked_at_first() {
        let checked: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).skip(1).collect();
        assert_eq!(checked, SERVICES.iter().map(|manifest| manifest.name).collect::<Vec<_>>());
    }

    #[test]
    fn no_two_services_claim_one_path() {
        let mut paths: Vec<&str> = SERVICES.iter().flat_map(|manifest| manifest.paths.iter().copied()).collect();
        paths.sort_unstable();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }

    #[test]
    fn what_is_listened_to_is_published_by_somebody() {
        let published: Vec<&str> = SERVICES.iter().flat_map(|manifest| manifest.publishes.iter().copied()).collect();
        for manifest in SERVICES {
            for topic in manifest.consumes {
                assert!(published.contains(topic), "{} listens to {topic}, which nobody publishes", manifest.name);
            }
        }
    }
}

#[cfg(test)]
mod documents {
    //! What the documents and tables say of every service, held against the code.

    use std::collections::BTreeSet;

    use platform::{
        auth::access::{Access, TABLE},
        problem,
    };

    use super::*;

    #[test]
    fn every_problem_has_its_paragraph_and_no_paragraph_is_left_over() {
        let page = include_str!("../../../docs/errors.md");
        let explained: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let shared = problem::kinds::ALL.iter().map(|kind| kind.slug);
        let known: BTreeSet<&str> =
            SERVICES.iter().flat_map(|manifest| manifest.problems.iter().map(|kind| kind.slug)).chain(shared).collect();
        assert_eq!(known.difference(&explained).collect::<Vec<_>>(), Vec::<&&str>::new(), "not explained in docs/errors.md");
        assert_eq!(explained.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "explained, but no such problem");
    }

    #[test]
    fn every_endpoint_stands_in_the_table_of_who_may_call_what() {
        let access = Access::parse(TABLE).unwrap();
        let listed: BTreeSet<String> = access.endpoints().map(str::to_owned).collect();
        let served: BTreeSet<String> = SIMULATION
            .run(1, &[], async |target| {
                let mut served = BTreeSet::new();
                for manifest in SERVICES {
                    let document = target.world.openapi(manifest.name).unwrap().to_json().unwrap();
                    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
                    for (path, operations) in document["paths"].as_object().unwrap() {
                        for method in operations.as_object().unwrap().keys() {
                            served.insert(format!("{} {path}", method.to_uppercase()));
                        }
                    }
                }
                served
            })
            .unwrap();
        assert_eq!(served.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not in config/access.toml");
        assert_eq!(listed.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "in config/access.toml, but not served");
    }
}
