//! Background work: the erasures that are due, and the forgetting of old answers.

use std::time::Duration;

use platform::service::{Background, Progress};

use crate::{app::App, erasure::Eraser, error::CustomerError};

/// How long an erasure is overlooked at most whose bell nobody heard: its instance died.
const ERASURES_EVERY: Duration = Duration::from_secs(60);
const PURGE_EVERY: Duration = Duration::from_secs(3600);

pub fn all(app: &App, eraser: &Eraser) -> Vec<Background> {
    let (app, bell, eraser) = (app.clone(), app.erasures.clone(), eraser.clone());
    vec![
        Background::new("erasures", ERASURES_EVERY, Some(bell), move || {
            let eraser = eraser.clone();
            Box::pin(async move { eraser.step().await })
        }),
        Background::new("idempotency purge", PURGE_EVERY, None, move || {
            let app = app.clone();
            Box::pin(async move {
                app.purge().await?;
                Ok::<_, CustomerError>(Progress::Idle)
            })
        }),
    ]
}
