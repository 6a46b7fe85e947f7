//! Background steps: holds that are over, and answers that are old.

use std::time::Duration;

use platform::service::{Background, Progress};

use crate::app::App;

/// How long at most until the sweeper looks again: another instance may have made a hold that this one was not woken for.
const LOOK: Duration = Duration::from_secs(10);
/// How long at most until the relay of a store that has one looks again.
#[cfg(feature = "engines")]
const RELAY_LOOK: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

#[cfg(feature = "engines")]
fn of_the_store(app: &App) -> Option<Background> {
    let crate::store::Store::Cassandra(store) = &app.store else { return None };
    let teller = store.clone();
    Some(Background::new("journal relay", RELAY_LOOK, Some(store.bell()), move || {
        let store = teller.clone();
        Box::pin(async move { store.tell().await })
    }))
}

#[cfg(not(feature = "engines"))]
const fn of_the_store(_: &App) -> Option<Background> {
    None
}

pub fn all(app: &App) -> Vec<Background> {
    let (sweeper, purger) = (app.clone(), app.clone());
    let own = [
        // Sleeps until the next hold is over; a hold that ends before that rings.
        Background::new("expiry", LOOK, Some(app.expiry.clone()), move || {
            let app = sweeper.clone();
            Box::pin(async move { app.sweep().await })
        }),
        Background::new("idempotency purge", HOUR, None, move || {
            let app = purger.clone();
            Box::pin(async move { app.purge().await.map(|_| Progress::Idle) })
        }),
    ];
    own.into_iter().chain(of_the_store(app)).collect()
}
