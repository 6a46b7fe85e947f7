//! The use cases. An outcome is a row with the moment at which it is due; whoever looks at that moment decides it (the call that waits,
//! or the sweep), so a crash forgets nothing and nobody is late.

use std::{pin::pin, sync::Arc, time::Duration};

use platform::{
    Clock, Ids,
    db::{Db, DbError, Tx},
    http::Answer,
    idempotency::{Idempotency, Key},
    problem::Problem,
    service::{Env, Progress},
    telemetry::context::Context,
};
use psp_api::{Amount, Authorization as View, AuthorizationStatus, Authorize, PspEvent, PspEventType};
use tokio::sync::Notify;
use types::{Money, Timestamp, id::Uuid};

use crate::{
    config::Config,
    domain::{Authorization, Refused, Told},
    error::PspError,
    plan::{Limits, Outcome, Plan, Reply},
    store,
    waiting::Waiting,
};

/// How many outcomes share a transaction.
const BATCH: u32 = 100;

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub clock: Clock,
    /// Rung when an outcome is put off.
    pub outcome_bell: Arc<Notify>,
    /// Rung when a callback is to be sent.
    pub callback_bell: Arc<Notify>,
    ids: Ids,
    idempotency: Idempotency,
    limits: Limits,
    life: Duration,
    waiting: Waiting,
}

/// Why something is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A call of its own asked for it.
    Call,
    /// It is the outcome that the authorizing call waits for.
    Outcome,
    /// Nobody asked: its time is over.
    Expiry,
}

/// What became of a request to authorize, so far.
struct Received {
    authorization: Authorization,
    /// It was not known under its key.
    is_fresh: bool,
    /// Nothing was known under its merchant's reference.
    is_first: bool,
    /// The answer, once the outcome is decided.
    answer: Option<Answer>,
}

impl App {
    #[must_use]
    pub fn new(env: &Env, config: &Config) -> Self {
        Self {
            db: env.db(),
            clock: env.clock,
            outcome_bell: Arc::default(),
            callback_bell: Arc::default(),
            ids: env.ids.clone(),
            idempotency: env.idempotency(),
            limits: config.limits(),
            life: config.authorization_life(),
            waiting: Waiting::default(),
        }
    }

    /// Authorizes, as the token's plan says, and answers as it says. A repeat joins the first.
    pub async fn authorize(&self, request: Authorize, key: Key) -> Result<Answer, PspError> {
        let at = self.clock.now();
        if request.amount.amount < 0 {
            return Err(PspError::Negative(request.amount.amount));
        }
        let received = self.receive(request, key, at).await?;
        let id = received.authorization.id;
        match received.authorization.plan().reply {
            Reply::Silence if received.is_fresh => {
                self.clock.sleep_until(at.plus(self.limits.silence)).await;
                return Err(PspError::Silent);
            }
            Reply::SilenceAtFirst if received.is_fresh && received.is_first => {
                self.clock.sleep_until(at.plus(self.limits.silence)).await;
                return Err(PspError::Silent);
            }
            Reply::Outcome if received.answer.is_none() => self.wait(id, at).await?,
            _ => {}
        }
        match received.answer {
            Some(answer) => Ok(answer),
            None => self.answer(id).await,
        }
    }

    async fn receive(&self, request: Authorize, key: Key, at: Timestamp) -> Result<Received, PspError> {
        let (this, id) = (self.clone(), self.ids.make::<Uuid>());
        let correlation_id = Context::current().correlation_id().map(str::to_owned);
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                if let Some(known) = store::by_key(tx, key.token()).await? {
                    if !is_same(&known, &request) {
                        return Err(PspError::KeyReused);
                    }
                    let answer = store::answer(tx, known.id).await?.map(|json| Answer { replayed: true, ..decided(known.id, json) });
                    return Ok(Received { authorization: known, is_fresh: false, is_first: false, answer });
                }
                let mut new = new_authorization(id, &request, key.token(), correlation_id.clone(), at);
                // Asked only where it makes a difference.
                let is_first =
                    new.plan().reply == Reply::SilenceAtFirst && store::by_reference(tx, &new.merchant_reference).await?.is_none();
                if new.due_at != Some(at) {
                    store::insert(tx, &new, None).await?;
                    tx.wake_after_commit(&this.outcome_bell);
                    return Ok(Received { authorization: new, is_fresh: true, is_first, answer: None });
                }
                let told = new.decide(at.plus(this.life));
                let events = this.tell(tx, &new, told, Cause::Outcome, &new.request_key).await?;
                let json = json(&view(&new, events, None))?;
                store::insert(tx, &new, Some(json.clone())).await?;
                Ok(Received { authorization: new, is_fresh: true, is_first, answer: Some(decided(id, json)) })
            })
            .await
    }

    /// Waits until the outcome is decided, or for as long as a call may wait.
    async fn wait(&self, id: Uuid, received: Timestamp) -> Result<(), PspError> {
        let limit = received.plus(self.limits.silence);
        let seat = self.waiting.sit(id);
        loop {
            let mut woken = pin!(seat.bell.notified());
            woken.as_mut().enable();
            let authorization = self.db.read(async |tx: &mut Tx<'_>| store::by_id(tx, id).await).await?.ok_or(PspError::Unknown(id))?;
            let now = self.clock.now();
            if authorization.status != AuthorizationStatus::Processing || now >= limit {
                return Ok(());
            }
            match authorization.due_at {
                Some(due) if due <= now => self.decide(vec![id]).await?,
                due => drop(self.clock.timeout(due.unwrap_or(limit).min(limit).since(now), woken).await),
            }
        }
    }

    /// What the key of an authorization is answered with at this moment.
    async fn answer(&self, id: Uuid) -> Result<Answer, PspError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                if let Some(json) = store::answer(tx, id).await? {
                    return Ok(decided(id, json));
                }
                let authorization = store::by_id(tx, id).await?.ok_or(PspError::Unknown(id))?;
                Ok(Answer { location: Some(location(id)), ..Answer::accepted(&view(&authorization, Vec::new(), None))? })
            })
            .await
    }

    /// Decides the outcomes of these that are due, and ends what has expired.
    async fn decide(&self, ids: Vec<Uuid>) -> Result<(), PspError> {
        let (this, asked) = (self.clone(), ids.clone());
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                for id in &asked {
                    let Some(mut authorization) = store::by_id(tx, *id).await? else { continue };
                    if authorization.due_at.is_none_or(|due| due > this.clock.now()) {
                        continue;
                    }
                    let before = authorization.version;
                    if let Some(told) = authorization.expire() {
                        this.tell(tx, &authorization, vec![told], Cause::Expiry, &authorization.request_key).await?;
                        store::save(tx, &authorization, before, None).await?;
                        continue;
                    }
                    let told = authorization.decide(this.clock.now().plus(this.life));
                    let events = this.tell(tx, &authorization, told, Cause::Outcome, &authorization.request_key).await?;
                    let json = json(&view(&authorization, events, None))?;
                    store::save(tx, &authorization, before, Some(json)).await?;
                }
                Ok::<_, PspError>(())
            })
            .await?;
        ids.into_iter().for_each(|id| self.waiting.wake(id));
        Ok(())
    }

    /// One step of the sweep: decides what is due, and says when the next is.
    pub async fn sweep(&self) -> Result<Progress, PspError> {
        let now = self.clock.now();
        let due = self.db.read(async |tx: &mut Tx<'_>| store::due(tx, now, BATCH).await).await?;
        if !due.is_empty() {
            self.decide(due.iter().map(|authorization| authorization.id).collect()).await?;
            return Ok(Progress::More);
        }
        let next = self.db.read(async |tx: &mut Tx<'_>| store::next_due(tx).await).await?;
        Ok(next.map_or(Progress::Idle, Progress::Until))
    }

    pub async fn capture(&self, id: Uuid, amount: Amount, key: Key) -> Result<Answer, PspError> {
        self.step(id, key, PspEventType::Captured, move |authorization| authorization.capture(&amount).map(Some)).await
    }

    pub async fn void(&self, id: Uuid, key: Key) -> Result<Answer, PspError> {
        self.step(id, key, PspEventType::Voided, Authorization::void).await
    }

    pub async fn refund(&self, id: Uuid, amount: Amount, key: Key) -> Result<Answer, PspError> {
        self.step(id, key, PspEventType::Refunded, move |authorization| authorization.refund(&amount).map(Some)).await
    }

    /// One change of state, asked for by a call of its own.
    async fn step(
        &self,
        id: Uuid,
        key: Key,
        kind: PspEventType,
        act: impl Fn(&mut Authorization) -> Result<Option<Told>, Refused> + Send + 'static,
    ) -> Result<Answer, PspError> {
        let (this, token) = (self.clone(), key.token().to_owned());
        let answer = self
            .idempotency
            .do_once::<PspError>(&self.db, Some(key), async move |tx: &mut Tx<'_>| {
                let mut authorization = store::by_id(tx, id).await?.ok_or(PspError::Unknown(id))?;
                let mut events = store::events(tx, id).await?;
                // Keys are forgotten after a day, money is not: what was done under this key is not done again.
                let done = events.iter().find(|event| event.kind == kind && event.request_key.as_deref() == Some(&*token));
                if let Some(done) = done.cloned() {
                    return Ok(Answer::ok(&view(&authorization, events, Some(done)))?);
                }
                let (before, open) = (authorization.version, authorization.status == AuthorizationStatus::Processing);
                if let Some(told) = act(&mut authorization)? {
                    events.extend(this.tell(tx, &authorization, vec![told], Cause::Call, &token).await?);
                }
                let view = view(&authorization, events, None);
                if authorization.version != before {
                    // The first void of what is on its way is its outcome.
                    let outcome = if open { Some(json(&view)?) } else { None };
                    store::save(tx, &authorization, before, outcome).await?;
                }
                Ok(Answer::ok(&view)?)
            })
            .await?;
        self.waiting.wake(id);
        Ok(answer)
    }

    pub async fn get(&self, id: Uuid) -> Result<View, PspError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                let authorization = store::by_id(tx, id).await?.ok_or(PspError::Unknown(id))?;
                Ok(view(&authorization, store::events(tx, id).await?, None))
            })
            .await
    }

    pub async fn by_reference(&self, reference: &str) -> Result<View, PspError> {
        self.db
            .read(async |tx: &mut Tx<'_>| {
                let found = store::by_reference(tx, reference).await?;
                let authorization = found.ok_or_else(|| PspError::UnknownReference(reference.to_owned()))?;
                Ok(view(&authorization, store::events(tx, authorization.id).await?, None))
            })
            .await
    }

    /// Forgets answers that are older than a day.
    pub async fn purge(&self) -> Result<u64, PspError> {
        Ok(self.idempotency.purge(&self.db).await?)
    }

    /// Writes changes of state into the truth log, and sees to the callbacks that tell of them.
    async fn tell(
        &self,
        tx: &mut Tx<'_>,
        authorization: &Authorization,
        told: Vec<Told>,
        cause: Cause,
        key: &str,
    ) -> Result<Vec<PspEvent>, DbError> {
        let (now, plan) = (self.clock.now(), authorization.plan());
        let mut events = Vec::with_capacity(told.len());
        for Told { kind, amount, decline_code } in told {
            let event = PspEvent {
                event_id: self.ids.make(),
                payment_id: authorization.merchant_reference.clone(),
                authorization_id: authorization.id,
                kind,
                amount: Money::new(amount, authorization.currency),
                decline_code,
                request_key: Some(key.to_owned()),
                at: now,
            };
            store::append(tx, &event).await?;
            let times = match cause {
                Cause::Expiry => vec![now],
                Cause::Call | Cause::Outcome => plan.callbacks(kind, cause == Cause::Outcome, authorization.created_at, now, self.limits),
            };
            for (nth, send_at) in (0_u32..).zip(times) {
                store::add_callback(tx, &event, nth, send_at, now).await?;
                tx.wake_after_commit(&self.callback_bell);
            }
            if let Some(send_at) = plan.overtaken(kind, now) {
                store::bring_forward(tx, authorization.id, send_at).await?;
            }
            events.push(event);
        }
        Ok(events)
    }
}

fn new_authorization(id: Uuid, request: &Authorize, key: &str, correlation_id: Option<String>, at: Timestamp) -> Authorization {
    let plan = Plan::of(request.token.as_str());
    Authorization {
        id,
        request_key: key.to_owned(),
        merchant_reference: request.merchant_reference.as_str().to_owned(),
        token: request.token.as_str().to_owned(),
        capture_at_once: request.capture,
        currency: request.amount.currency,
        amount: request.amount.amount,
        captured: 0,
        refunded: 0,
        status: AuthorizationStatus::Processing,
        decline_code: None,
        due_at: (plan.outcome != Outcome::Never).then(|| at.plus(plan.after)),
        correlation_id,
        version: 1,
        created_at: at,
    }
}

fn is_same(known: &Authorization, request: &Authorize) -> bool {
    known.merchant_reference == request.merchant_reference.as_str()
        && known.token == request.token.as_str()
        && known.capture_at_once == request.capture
        && Money::new(known.amount, known.currency) == request.amount
}

/// The authorization as the merchant sees it. `told` is the event that an answer is about: the newest when it is not said.
fn view(authorization: &Authorization, events: Vec<PspEvent>, told: Option<PspEvent>) -> View {
    let money = |amount| Money::new(amount, authorization.currency);
    View {
        id: authorization.id,
        merchant_reference: authorization.merchant_reference.clone(),
        amount: money(authorization.amount),
        captured: money(authorization.captured),
        refunded: money(authorization.refunded),
        status: authorization.status,
        decline_code: authorization.decline_code.clone(),
        last_event: told.or_else(|| events.last().cloned()),
        events,
        created_at: authorization.created_at,
    }
}

fn json(view: &View) -> Result<String, PspError> {
    serde_json::to_string(view).map_err(|error| PspError::Told(Problem::internal(&error)))
}

fn decided(id: Uuid, json: String) -> Answer {
    Answer { status: 201, body: json.into_bytes().into(), location: Some(location(id)), etag: None, replayed: false }
}

fn location(id: Uuid) -> String {
    format!("/psp/authorizations/{id}")
}
