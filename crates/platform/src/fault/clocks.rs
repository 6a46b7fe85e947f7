//! The point `clock.offset`: the clock of one service is behind for as long as the fault stands. Nothing passes here. A clock is asked in
//! too many places for each of them to ask for faults as well, so setting and lifting a fault winds the clocks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Fault, FaultError, Scope, Set};
use crate::clock::Lag;

pub const POINT: &str = "clock.offset";

/// A year. Whoever wants more is more likely to have mistaken the unit.
const MILLIS_MAX: u64 = 365 * 24 * 3_600 * 1_000;

/// What makes the clocks of a world's services wrong, by the service.
#[derive(Debug, Default)]
pub struct Clocks(Mutex<BTreeMap<&'static str, &'static Lag>>);

impl Clocks {
    /// What makes this service's clock wrong, as what is set says; made when it is asked for the first time.
    pub fn of(&self, service: &'static str, set: &[Set]) -> &'static Lag {
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = *lags.entry(service).or_insert_with(Lag::leaked);
        wind(service, lag, set);
        lag
    }

    /// Makes every clock as wrong as what is set says, and no more.
    pub fn wind(&self, set: &[Set]) {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lags.iter().for_each(|(service, lag)| wind(service, lag, set));
    }
}

/// There is one fault for a service at most: one with the same rule and scope takes the place of the other.
fn wind(service: &str, lag: &Lag, set: &[Set]) {
    let fault = set.iter().find(|set| set.point == POINT && set.fault.scope.service.as_deref() == Some(service));
    let micros = |millis: u64| i64::try_from(millis.saturating_mul(1_000)).unwrap_or(i64::MAX);
    match fault {
        Some(Set { fault, until, .. }) => lag.set(micros(fault.millis), *until),
        None => lag.set(0, None),
    }
}

/// Refuses what a clock cannot be.
pub fn check(fault: &Fault) -> Result<(), FaultError> {
    if fault.share < 1.0 {
        return Err(FaultError::Clock("share", "be 1: a clock is wrong for whoever asks it"));
    }
    if !matches!(&fault.scope, Scope { service: Some(_), topic: None, key: None, region: None }) {
        return Err(FaultError::Clock("scope", "name the service whose clock it is, and nothing else"));
    }
    if fault.millis > MILLIS_MAX {
        return Err(FaultError::Clock("millis", "be at most 31536000000, a year"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        chance::Chance,
        clock::Clock,
        fault::{Faults, Rule},
    };

    fn behind(service: &str, millis: u64) -> Fault {
        let scope = Scope { service: Some(service.into()), ..Scope::default() };
        Fault { rule: Rule::Delay, share: 1.0, millis, scope, for_seconds: None }
    }

    #[tokio::test(start_paused = true)]
    async fn one_services_clock_is_behind_until_it_is_lifted() {
        let clock = Clock::simulated();
        let faults = Faults::new(clock, Chance::seeded(1));
        let (order, again, cart) = (faults.clock_of("order"), faults.clock_of("order"), faults.clock_of("cart"));
        let lag = |of: Clock| clock.now().since(of.now()).as_millis();
        faults.set(POINT, behind("order", 20_000)).unwrap();
        assert_eq!((lag(order), lag(again), lag(cart), lag(faults.clock_of("order"))), (20_000, 20_000, 0, 20_000));
        faults.set(POINT, behind("order", 5_000)).unwrap();
        faults.set(POINT, behind("psp", 700)).unwrap();
        assert_eq!((lag(order), lag(cart), lag(faults.clock_of("psp"))), (5_000, 0, 700), "also of a service that starts only now");
        assert_eq!(faults.clear(Some(POINT)), 2);
        assert_eq!((lag(order), lag(again), lag(cart)), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn it_lifts_itself_though_nobody_asks() {
        let clock = Clock::simulated();
        let faults = Faults::new(clock, Chance::seeded(1));
        let order = faults.clock_of("order");
        faults.set(POINT, Fault { for_seconds: Some(3.0), ..behind("order", 20_000) }).unwrap();
        assert_eq!(clock.now().since(order.now()), Duration::from_secs(20));
        clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(order.now(), clock.now());
        assert!(faults.list().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_clock_cannot_be_is_refused() {
        let faults = Faults::new(Clock::simulated(), Chance::seeded(1));
        let refused = |fault| faults.set(POINT, fault).unwrap_err();
        for rule in [Rule::Fail, Rule::Drop, Rule::Duplicate, Rule::Reorder, Rule::Hold] {
            assert_eq!(refused(Fault { rule, ..behind("order", 1) }), FaultError::Meaningless(rule, POINT.into()));
        }
        let field = |fault| match refused(fault) {
            FaultError::Clock(field, _) => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(Fault { share: 0.5, ..behind("order", 1) }), "share");
        assert_eq!(field(Fault { scope: Scope::default(), ..behind("order", 1) }), "scope");
        let narrow = Scope { region: Some("US".into()), ..behind("order", 1).scope };
        assert_eq!(field(Fault { scope: narrow, ..behind("order", 1) }), "scope");
        assert_eq!(field(behind("order", MILLIS_MAX + 1)), "millis");
    }
}
