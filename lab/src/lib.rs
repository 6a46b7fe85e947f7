//! The incident lab: it brings an incident about, measures it, proves its cause, and shows what mends it. An outsider: it knows the services'
//! contracts and reaches a system as a user and an operator do, whether that system is simulated in this process or runs elsewhere.
//!
//! Reading order: [`target`] (the ways into a system), [`scenario`] (what a scenario declares and what a run gives), [`experiment`]
//! (how one is run), then the scenarios: [`oversell`], [`silence`] (the provider that does not answer), [`stale_price`], [`dual_write`],
//! [`hot_sku`], [`duplicates`], [`clock_skew`], [`poison`]; [`facts`] and [`journal`] (what the services say of themselves), [`invariants`], [`verify`] and
//! [`watch`] (afterwards and meanwhile), [`verdict`], [`witness`] (what clients saw), [`record`], [`report`], [`bundle`] (a run to be looked
//! at offline); [`crash`] (what a kill may not lose) and [`chaos`] (worlds at random); [`sale`]
//! (what the books tell of a flash sale); small: [`knob`], [`digest`].

pub mod bundle;
pub mod chaos;
pub mod clock_skew;
pub mod crash;
pub mod digest;
pub mod dual_write;
pub mod duplicates;
pub mod experiment;
pub mod facts;
pub mod hot_sku;
pub mod invariants;
pub mod journal;
pub mod knob;
pub mod oversell;
pub mod poison;
pub mod record;
pub mod report;
pub mod sale;
pub mod scenario;
pub mod silence;
pub mod stale_price;
pub mod target;
pub mod verdict;
pub mod verify;
pub mod watch;
pub mod witness;
