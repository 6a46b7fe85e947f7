//! Background work: the change feed, the uploads, and forgetting old answers.

use std::time::Duration;

use platform::{
    Tasks,
    service::{Background, Progress},
};

use crate::{app::App, error::CatalogError};

const HOUR: Duration = Duration::from_secs(3600);
/// How long an upload waits at most that another process was told of, and died over.
const MEDIA_LOOK: Duration = Duration::from_secs(60);

pub fn all(app: &App, tasks: &Tasks) -> Vec<Background> {
    let (feed, media, purge) = (app.clone(), app.clone(), app.clone());
    let look = Duration::from_secs(app.config.get().feed_look_seconds);
    let mut all = vec![
        Background::new("change feed", look, Some(app.documents.bell()), move || {
            let app = feed.clone();
            Box::pin(async move { app.publish_changes().await })
        }),
        Background::new("media", MEDIA_LOOK, Some(app.media_bell.clone()), move || {
            let app = media.clone();
            Box::pin(async move { app.tend_media().await })
        }),
        Background::new("idempotency purge", HOUR, None, move || {
            let app = purge.clone();
            Box::pin(async move {
                app.purge().await?;
                Ok::<_, CatalogError>(Progress::Idle)
            })
        }),
    ];
    if app.documents.are_shared() {
        let (documents, tasks) = (app.documents.clone(), tasks.clone());
        all.push(Background::new("change feed ear", look, None, move || {
            let (documents, tasks) = (documents.clone(), tasks.clone());
            // It listens for long, and must not keep the process from ending.
            Box::pin(async move { tasks.unless_stopping(documents.hear()).await.transpose().map(|_| Progress::More) })
        }));
    }
    all
}
