//! Background steps: holds that are over, and answers that are old.

use std::time::Duration;

use platform::service::{Background, Progress};

use crate::app::App;

/// How long at most until the sweeper looks again: another instance may have made a hold that this one was not woken for.
const LOOK: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

pub fn all(app: &App) -> Vec<Background> {
    let (sweeper, purger) = (app.clone(), app.clone());
    vec![
        // Sleeps until the next hold is over; a hold that ends before that rings.
        Background::new("expiry", LOOK, Some(app.expiry.clone()), move || {
            let app = sweeper.clone();
            Box::pin(async move { app.sweep().await })
        }),
        Background::new("idempotency purge", HOUR, None, move || {
            let app = purger.clone();
            Box::pin(async move { app.purge().await.map(|_| Progress::Idle) })
        }),
    ]
}
