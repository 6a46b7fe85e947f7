//! The end of carts that nobody comes back to. The moment stands in each row; the sweep looks when the earliest is due and not before,
//! so an idle shop costs nothing. A cart that is asked for at that very moment does not wait for the sweep.

use std::time::Duration;

use platform::{
    db::Tx,
    service::{Background, Progress},
};
use types::CartId;

use crate::{app::App, error::CartError, store};

/// How many carts a step ends.
const BATCH: u32 = 200;
/// The shortest life of a cart: no cart that is made after a look is due before the next.
const EVERY: Duration = Duration::from_secs(3_600);

pub fn all(app: &App) -> Vec<Background> {
    let (sweep, purge) = (app.clone(), app.clone());
    vec![
        Background::new("cart expiry", EVERY, None, move || {
            let app = sweep.clone();
            Box::pin(async move { app.sweep().await })
        }),
        Background::new("idempotency purge", EVERY, None, move || {
            let app = purge.clone();
            Box::pin(async move { app.purge().await })
        }),
    ]
}

impl App {
    /// Ends the carts whose time is over, up to a batch of them.
    async fn sweep(&self) -> Result<Progress, CartError> {
        let now = self.clock.now();
        let (due, next) = self
            .db
            .read(async |tx: &mut Tx<'_>| {
                let due = store::due(tx, now, BATCH).await?;
                Ok::<_, CartError>((due, store::next_due(tx).await?))
            })
            .await?;
        if !due.is_empty() {
            self.expire(due).await?;
            return Ok(Progress::More);
        }
        Ok(next.map_or(Progress::Idle, Progress::Until))
    }

    /// Notes these carts as expired, those of them that are open and whose time is over. In the cache an open cart lives no longer than
    /// its time, so nothing has to be ruled out there.
    pub(crate) async fn expire(&self, ids: Vec<CartId>) -> Result<(), CartError> {
        let now = self.clock.now();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                for id in &ids {
                    store::expire(tx, *id, now).await?;
                }
                Ok(())
            })
            .await
    }

    /// Forgets answers that are older than a day.
    async fn purge(&self) -> Result<Progress, CartError> {
        self.idempotency.purge(&self.db).await?;
        Ok(Progress::Idle)
    }
}
