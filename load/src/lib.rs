//! Buyers, one or very many: the journey from an empty cart to an order that has settled, and load made of such journeys. An outsider: it
//! speaks HTTP as people do, through the same small port as the data set.
//!
//! Reading order: [`mix`] (what buyers are like), [`buyer`] (one of them, drawn), [`journey`] (what a buyer does), [`pace`] (when buyers
//! come), [`run`] (open and closed loop), [`report`] (what is counted). Two loads of another kind: [`sale`] (everybody wants the same thing at
//! once) and [`market`] (buyers and sellers on one range).

pub mod buyer;
pub mod journey;
pub mod market;
pub mod mix;
pub mod pace;
pub mod report;
pub mod run;
pub mod sale;

pub use buyer::{Buyer, Crowd};
pub use journey::{Ending, Journey, Outcome, Step};
pub use market::{Market, MarketReport};
pub use mix::{LoadError, Mix};
pub use pace::{Arrivals, Cycle};
pub use report::{Latency, Report};
pub use run::{ClosedLoop, Load, OpenLoop, Until};
pub use sale::{Sale, SaleReport};
