//! Callbacks: what the merchant may not have heard is told to it, signed, until it has taken it or a day has passed. A callback is a row;
//! who sends it claims it for a while, so two instances do not send the same at once and a crash only delays it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use platform::{
    Chance, Clock, Tasks,
    auth::{Secret, Signature},
    client::Client,
    db::{Db, DbError, Tx},
    service::{BuildError, Env, Progress},
    telemetry::context::{CORRELATION_ATTRIBUTE, Contexts},
};
use rand::RngExt;
use tokio::sync::Notify;
use types::id::Uuid;

use crate::{
    app::App,
    config::Config,
    store::{self, Callback},
};

/// How many are taken at a time.
const BATCH: u32 = 64;
/// How long the merchant has for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long a claimed callback is nobody else's: longer than a whole group can take.
const CLAIM: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// After this it is given up.
const KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub struct Callbacks {
    db: Db,
    clock: Clock,
    chance: Chance,
    contexts: Contexts,
    tasks: Tasks,
    merchant: Client,
    secret: Secret,
    bell: Arc<Notify>,
}

impl Callbacks {
    pub fn new(env: &Env, app: &App, config: &Config) -> Result<Self, BuildError> {
        let secret = match config.callback_secret.as_str() {
            "" => env.secret_for("psp-callbacks")?,
            text => Secret::new(text).map_err(|error| BuildError::Other(error.to_string()))?,
        };
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            chance: env.chance,
            contexts: env.contexts.clone(),
            tasks: env.tasks.clone(),
            merchant: env.client("payment"),
            secret,
            bell: app.callback_bell.clone(),
        })
    }

    /// Takes what is due and sends it; a merchant that is slow to answer holds up nobody else's.
    pub async fn step(&self) -> Result<Progress, DbError> {
        let now = self.clock.now();
        let due = self.db.write(async move |tx: &mut Tx<'_>| store::claim_callbacks(tx, now, now.plus(CLAIM), BATCH).await).await?;
        let full = due.len() as u64 == u64::from(BATCH);
        // In the order of their events for each authorization; authorizations side by side.
        let mut groups: BTreeMap<Uuid, Vec<Callback>> = BTreeMap::new();
        for callback in due {
            groups.entry(callback.event.authorization_id).or_default().push(callback);
        }
        for group in groups.into_values() {
            let this = self.clone();
            self.tasks.spawn("callback", async move {
                for callback in group {
                    if let Err(error) = this.send(&callback).await {
                        tracing::warn!(event_id = %callback.event.event_id, %error, "what became of a callback could not be noted; it will be sent again");
                    }
                }
            });
        }
        if full {
            return Ok(Progress::More);
        }
        let next = self.db.read(async |tx: &mut Tx<'_>| store::next_callback(tx).await).await?;
        Ok(next.map_or(Progress::Idle, Progress::Until))
    }

    async fn send(&self, callback: &Callback) -> Result<(), DbError> {
        let event = &callback.event;
        let correlation = callback.correlation_id.as_deref().unwrap_or(&event.payment_id);
        let context = self.contexts.from_pairs([(CORRELATION_ATTRIBUTE, correlation)]);
        let body = serde_json::to_vec(event).unwrap_or_default();
        let signature = Signature::sign(&self.secret, self.clock.now(), &body);
        let call = self.merchant.post("/payments/psp/callback").json(event).header(psp_api::SIGNATURE_HEADER, signature);
        let answer = context.scope(call.timeout(PATIENCE).once().send()).await;
        let (status, send_at) = match answer {
            Ok(_) => ("SENT", self.clock.now()),
            Err(error) => {
                let next = self.clock.now().plus(self.pause(callback));
                let gives_up = next > callback.created_at.plus(KEPT);
                if gives_up || callback.attempts == 0 {
                    tracing::warn!(event_id = %event.event_id, payment_id = event.payment_id, %error, gives_up, "a callback was not taken");
                }
                (if gives_up { "GIVEN_UP" } else { "WAITING" }, next)
            }
        };
        let (seq, bell) = (callback.seq, self.bell.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                if status == "WAITING" {
                    tx.wake_after_commit(&bell);
                }
                store::settle_callback(tx, seq, status, send_at).await
            })
            .await
    }

    /// Doubles with each attempt; half to the whole of it, by the draw of this payment, event and attempt.
    fn pause(&self, callback: &Callback) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << callback.attempts.min(16)).min(LONGEST_PAUSE);
        let purpose = format!("callback {} {}", callback.event.event_id, callback.attempts);
        whole.mul_f64(self.chance.stream("psp", &callback.event.payment_id, &purpose).random_range(0.5..1.0))
    }
}
