//! What pricing does by itself, each a step that takes no input and sleeps until something is due.

use std::time::Duration;

use platform::service::{Background, Progress};

use crate::{app::App, error::PricingError};

/// How long a step sleeps at most where it knows of nothing.
const LOOK: Duration = Duration::from_secs(3_600);

pub fn all(app: &App) -> Vec<Background> {
    let (rates, promotions, purge) = (app.clone(), app.clone(), app.clone());
    vec![
        Background::new("currency-rate-sync", app.config.fx_sync(), None, move || {
            let app = rates.clone();
            Box::pin(async move { app.sync_rates().await })
        }),
        Background::new("promotion-activation", LOOK, Some(app.promotion_bell.clone()), move || {
            let app = promotions.clone();
            Box::pin(async move { app.activate_promotions().await })
        }),
        Background::new("idempotency-purge", LOOK, None, move || {
            let app = purge.clone();
            Box::pin(async move { app.purge().await.map(|_| Progress::Idle) as Result<Progress, PricingError> })
        }),
    ]
}
