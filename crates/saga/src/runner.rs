//! Takes the steps of sagas: at once when one is begun or woken, and by a sweep of what is due, so that a crash only delays.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use platform::{
    Chance, Clock, Tasks,
    db::{Db, DbError, Tx},
    lease::Leases,
    service::{Background, Progress},
    telemetry::{
        context::{CORRELATION_ATTRIBUTE, Context, Contexts, TRACEPARENT},
        traces::SpanKind,
    },
    values,
};
use rand::RngExt;
use tokio::sync::Notify;
use types::{Timestamp, id::Uuid};

use crate::{
    Definition, Outcome, Run, Undone,
    row::{Due, State, Stored},
};

/// While a saga is being worked on nobody else looks at it for this long; after a crash it waits at most as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many due sagas a sweep takes on at a time.
const SWEEP: i64 = 200;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs the sagas of one kind. A clone is the same runner.
pub struct Runner<D: Definition> {
    inner: Arc<Inner<D>>,
}

impl<D: Definition> Clone for Runner<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<D: Definition> std::fmt::Debug for Runner<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runner({})", self.inner.table)
    }
}

struct Inner<D> {
    table: &'static str,
    definition: D,
    db: Db,
    clock: Clock,
    chance: Chance,
    tasks: Tasks,
    leases: Leases,
    contexts: Contexts,
    bell: Arc<Notify>,
    /// Until the first sweep, which looks at everything that is not at its end: what a crash has left is not to wait.
    fresh: AtomicBool,
    select: String,
    update: String,
    /// The same, unless it was woken.
    rest: String,
}

/// What a runner works with.
#[derive(Debug)]
pub struct Parts {
    pub table: &'static str,
    pub db: Db,
    pub clock: Clock,
    pub chance: Chance,
    pub tasks: Tasks,
    pub leases: Leases,
    pub contexts: Contexts,
}

impl<D: Definition> Runner<D> {
    pub fn new(parts: Parts, definition: D) -> Self {
        let Parts { table, db, clock, chance, tasks, leases, contexts } = parts;
        let columns = "id, state, step, attempt, data, reason, abort, nudges, began_at, version, correlation_id, traceparent";
        let update = format!(
            "UPDATE {table} SET state = ?, step = ?, attempt = ?, data = ?, reason = ?, wake_at = ?, ended_at = ?, version = version + 1
             WHERE id = ? AND version = ?"
        );
        let inner = Inner {
            table,
            definition,
            db,
            clock,
            chance,
            tasks,
            leases,
            contexts,
            bell: Arc::default(),
            fresh: AtomicBool::new(true),
            select: format!("SELECT {columns} FROM {table} WHERE id = ?"),
            rest: format!("{update} AND nudges = ?"),
            update,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Begins a saga in the caller's transaction. Call [`Runner::kick`] once that has committed.
    pub async fn begin(&self, tx: &mut Tx<'_>, id: Uuid, data: &D::Data) -> Result<(), DbError> {
        let inner = &self.inner;
        let (now, context) = (inner.clock.now(), Context::current());
        let insert = format!(
            "INSERT INTO {} (id, state, step, attempt, data, nudges, wake_at, began_at, version, correlation_id, traceparent)
             VALUES (?, 'FORWARD', 0, 0, ?, 0, ?, ?, 1, ?, ?)",
            inner.table
        );
        let row = values![id, json(data)?, now.plus(PATIENCE), now, context.correlation_id(), context.traceparent()];
        tx.execute(&insert, row).await.map(|_| ())
    }

    /// Works on a saga now, in a task of its own.
    pub fn kick(&self, id: Uuid) {
        let this = self.clone();
        self.inner.tasks.spawn("saga", async move {
            if let Err(error) = this.advance(id).await {
                tracing::warn!(saga = %id, %error, "a saga stopped half-way and goes on at the next sweep");
            }
        });
    }

    /// Tells a waiting saga, in the caller's transaction, that there is news.
    pub async fn wake(&self, tx: &mut Tx<'_>, id: Uuid) -> Result<(), DbError> {
        // The version stays: to whoever takes a step meanwhile it is no news, only to who would rest.
        let update =
            format!("UPDATE {} SET nudges = nudges + 1, wake_at = ? WHERE id = ? AND state IN ('FORWARD', 'BACK')", self.inner.table);
        if tx.execute(&update, values![self.inner.clock.now(), id]).await? == 1 {
            tx.wake_after_commit(&self.inner.bell);
        }
        Ok(())
    }

    /// Asks for everything to be undone, from wherever the saga stands, even from its end. Says whether there is something to undo.
    pub async fn abort(&self, tx: &mut Tx<'_>, id: Uuid, reason: &str) -> Result<bool, DbError> {
        let inner = &self.inner;
        let update = format!(
            "UPDATE {} SET abort = ?, state = CASE state WHEN 'DONE' THEN 'FORWARD' ELSE state END, nudges = nudges + 1, wake_at = ?,
             ended_at = NULL, version = version + 1 WHERE id = ? AND state IN ('FORWARD', 'DONE') AND abort IS NULL",
            inner.table
        );
        let changed = tx.execute(&update, values![reason, inner.clock.now(), id]).await? == 1;
        if changed {
            tx.wake_after_commit(&inner.bell);
        }
        Ok(changed)
    }

    /// The periodic and the woken look at what is due, as background work of the service.
    #[must_use]
    pub fn background(&self) -> Background {
        let this = self.clone();
        Background::new("sagas", Duration::from_secs(60), Some(self.inner.bell.clone()), move || {
            let this = this.clone();
            Box::pin(async move { this.sweep().await })
        })
    }

    /// Starts work on what is due; says when to look again.
    pub async fn sweep(&self) -> Result<Progress, DbError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let is_fresh = inner.fresh.load(Ordering::SeqCst);
        let next = format!("SELECT id, wake_at FROM {} WHERE state IN ('FORWARD', 'BACK') ORDER BY wake_at, id LIMIT {SWEEP}", inner.table);
        let mut due: Vec<Due> = inner.db.fetch_all(&next, vec![]).await?;
        // Not before: where the store has no answer at the start, what the last life left is still to be taken on.
        inner.fresh.store(false, Ordering::SeqCst);
        let Some(first) = due.first().map(|due| due.wake_at) else { return Ok(Progress::Idle) };
        if !is_fresh {
            due.retain(|due| due.wake_at <= now);
        }
        if due.is_empty() {
            return Ok(Progress::Until(first));
        }
        // Whoever works on one has this long; then it is due again. What another process has taken since is not due any more.
        let until = now.plus(PATIENCE);
        let take = format!("UPDATE {} SET wake_at = ? WHERE id = ? AND wake_at = ?", inner.table);
        let taken = inner
            .db
            .write(async move |tx: &mut Tx<'_>| -> Result<Vec<Uuid>, DbError> {
                let mut taken = Vec::with_capacity(due.len());
                for Due { id, wake_at } in &due {
                    if tx.execute(&take, values![until, *id, *wake_at]).await? == 1 {
                        taken.push(*id);
                    }
                }
                Ok(taken)
            })
            .await?;
        taken.into_iter().for_each(|id| self.kick(id));
        Ok(Progress::More)
    }

    /// Takes steps until the saga has ended or waits.
    pub async fn advance(&self, id: Uuid) -> Result<(), DbError> {
        let inner = &self.inner;
        let Some(_lease) = inner.leases.take(&format!("{}/{id}", inner.table)) else { return Ok(()) };
        let Some(mut stored) = self.load(id).await? else { return Ok(()) };
        let known = [(CORRELATION_ATTRIBUTE, &stored.correlation_id), (TRACEPARENT, &stored.traceparent)];
        let context = inner.contexts.from_pairs(known.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        let span = inner.contexts.traces().span(inner.table, SpanKind::Internal, &context, &[]);
        context
            .scope(async move {
                let _span = span;
                loop {
                    let next = match stored.state {
                        State::Done | State::Unwound => return Ok(()),
                        State::Forward => self.forward(stored).await?,
                        State::Back => self.back(stored).await?,
                    };
                    match next {
                        Some(next) => stored = next,
                        None => return Ok(()),
                    }
                }
            })
            .await
    }

    async fn forward(&self, stored: Stored) -> Result<Option<Stored>, DbError> {
        let steps = self.inner.definition.steps();
        let position = usize::try_from(stored.step).unwrap_or(0);
        if let Some(reason) = stored.abort.clone() {
            // The step at hand may be under way, so it is undone as well; at the end it is the last.
            let from = stored.step.min(steps.len() as i64 - 1);
            return self.turn_back(stored, reason, from).await;
        }
        let Some(step) = steps.get(position).copied() else {
            return self.save(stored, Change { state: State::Done, ..Change::default() }, None).await;
        };
        let run = self.run(&stored, step, false)?;
        match self.inner.definition.act(step, &run).await {
            Outcome::Done(data) => {
                let last = position + 1 == steps.len();
                let change = Change {
                    state: if last { State::Done } else { State::Forward },
                    step: stored.step + 1,
                    data: Some(json(&data)?),
                    ..Change::default()
                };
                self.save(stored, change, Some(Note::Taken(step, Run { data, ..run }))).await
            }
            Outcome::Wait(data, until) => self.wait(stored, json(&data)?, until, State::Forward).await,
            Outcome::Refused { reason, and_this } => {
                let from = if and_this { stored.step } else { stored.step - 1 };
                self.turn_back(stored, reason, from).await
            }
            Outcome::Retry(why) => self.again(stored, &why, State::Forward).await,
        }
    }

    async fn back(&self, stored: Stored) -> Result<Option<Stored>, DbError> {
        let Some(step) = usize::try_from(stored.step).ok().and_then(|position| self.inner.definition.steps().get(position)).copied() else {
            let reason = stored.reason.clone().unwrap_or_default();
            let run = self.run(&stored, "end", true)?;
            return self
                .save(stored, Change { state: State::Unwound, step: -1, ..Change::default() }, Some(Note::Unwound(reason, run)))
                .await;
        };
        let run = self.run(&stored, step, true)?;
        match self.inner.definition.undo(step, &run).await {
            Undone::Done(data) => {
                let change = Change { state: State::Back, step: stored.step - 1, data: Some(json(&data)?), ..Change::default() };
                self.save(stored, change, None).await
            }
            Undone::Wait(data, until) => self.wait(stored, json(&data)?, until, State::Back).await,
            Undone::Retry(why) => self.again(stored, &why, State::Back).await,
        }
    }

    async fn turn_back(&self, stored: Stored, reason: String, from: i64) -> Result<Option<Stored>, DbError> {
        let change = Change { state: State::Back, step: from, reason: Some(reason), ..Change::default() };
        self.save(stored, change, None).await
    }

    async fn wait(&self, stored: Stored, data: serde_json::Value, until: Timestamp, state: State) -> Result<Option<Stored>, DbError> {
        let (seen, step) = (stored.nudges, stored.step);
        let change = Change { state, step, data: Some(data), wake_at: Some(until), attempt: stored.attempt, ..Change::default() };
        let after = self.save(stored, change, None).await?;
        self.inner.bell.notify_one();
        // Woken while the step was looking: look again instead of waiting.
        Ok(after.filter(|after| after.nudges != seen || after.abort.is_some()))
    }

    async fn again(&self, stored: Stored, why: &str, state: State) -> Result<Option<Stored>, DbError> {
        let attempt = stored.attempt + 1;
        if attempt == 5 {
            tracing::warn!(saga = %stored.id, step = stored.step, attempt, why, "a step of a saga keeps failing");
        }
        let draw = self
            .inner
            .chance
            .stream(self.inner.table, &stored.id.to_string(), &format!("retry {} {attempt}", stored.step))
            .random_range(0.5..1.0);
        let pause = Duration::from_millis(50).saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE).mul_f64(draw);
        let wake_at = Some(self.inner.clock.now().plus(pause));
        let change = Change { state, step: stored.step, attempt, wake_at, ..Change::default() };
        let after = self.save(stored, change, None).await?;
        self.inner.bell.notify_one();
        Ok(after.filter(|after| after.abort.is_some() && after.state == State::Forward))
    }

    fn run(&self, stored: &Stored, step: &'static str, undoing: bool) -> Result<Run<D::Data>, DbError> {
        let data = serde_json::from_value(stored.data.clone())
            .map_err(|error| DbError::Column { column: "data".into(), reason: error.to_string() })?;
        Ok(Run { id: stored.id, data, attempt: stored.attempt, began_at: stored.began_at, step, undoing })
    }

    async fn load(&self, id: Uuid) -> Result<Option<Stored>, DbError> {
        self.inner.db.fetch_optional(&self.inner.select, values![id]).await
    }

    /// Commits a change and the service's own with it. When somebody else (a nudge, an abort) wrote in between, what was learnt is
    /// committed over the row as it is now; when the saga has moved on without us, nothing is.
    async fn save(&self, before: Stored, change: Change, note: Option<Note<D::Data>>) -> Result<Option<Stored>, DbError> {
        let inner = self.inner.clone();
        let now = inner.clock.now();
        let db = inner.db.clone();
        db.write(async move |tx: &mut Tx<'_>| {
            // Nearly always nobody has, and the row need not be read again.
            let mut after = change.over(&before, &before);
            if !inner.replace(tx, &before, &after, &change, now).await? {
                let select = &inner.select;
                let Some(current) = tx.fetch_optional::<Stored>(select, values![before.id]).await? else { return Ok(None) };
                if current.state != before.state || current.step != before.step || current.attempt != before.attempt {
                    return Ok(None);
                }
                after = change.over(&before, &current);
                if !inner.replace(tx, &before, &after, &change, now).await? {
                    return Err(DbError::Unavailable("somebody else wrote this saga at the same time".into()));
                }
            }
            match &note {
                None => {}
                Some(Note::Taken(step, run)) => inner.definition.record(tx, step, run).await?,
                Some(Note::Unwound(reason, run)) => inner.definition.unwound(tx, reason, run).await?,
            }
            Ok(Some(after))
        })
        .await
    }
}

impl<D> Inner<D> {
    /// Writes `after` over the version before it; says whether that was still there. What would rest is not to have been woken since it was
    /// read; one that was woken since `before` is due at once.
    async fn replace(&self, tx: &mut Tx<'_>, before: &Stored, after: &Stored, change: &Change, now: Timestamp) -> Result<bool, DbError> {
        let wake_at = match change.wake_at {
            None => now.plus(PATIENCE),
            Some(moment) if after.nudges == before.nudges => moment,
            Some(_) => now,
        };
        let ended = matches!(after.state, State::Done | State::Unwound);
        let mut row = values![
            after.state.as_str(),
            after.step,
            after.attempt,
            after.data.clone(),
            after.reason.clone(),
            wake_at,
            ended.then_some(now),
            after.id,
            after.version - 1
        ];
        let statement = if change.wake_at.is_some() {
            row.extend(values![after.nudges]);
            &self.rest
        } else {
            &self.update
        };
        Ok(tx.execute(statement, row).await? == 1)
    }
}

/// What a commit changes of the row.
struct Change {
    state: State,
    step: i64,
    attempt: u32,
    data: Option<serde_json::Value>,
    reason: Option<String>,
    /// When to look again if whoever works on it is gone by then.
    wake_at: Option<Timestamp>,
}

impl Change {
    /// What the row becomes: what was learnt from `before`, over the row as it is now.
    fn over(&self, before: &Stored, current: &Stored) -> Stored {
        // Asked to undo everything while the last step was taken: it is not the end.
        let state = if self.state == State::Done && current.abort.is_some() { State::Forward } else { self.state };
        Stored {
            state,
            step: self.step,
            attempt: self.attempt,
            data: self.data.clone().unwrap_or_else(|| before.data.clone()),
            reason: self.reason.clone().or_else(|| current.reason.clone()),
            version: current.version + 1,
            ..current.clone()
        }
    }
}

impl Default for Change {
    fn default() -> Self {
        Self { state: State::Forward, step: 0, attempt: 0, data: None, reason: None, wake_at: None }
    }
}

/// What the service writes with it.
enum Note<D> {
    Taken(&'static str, Run<D>),
    Unwound(String, Run<D>),
}

fn json(data: &impl serde::Serialize) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(data).map_err(|error| DbError::Column { column: "data".into(), reason: error.to_string() })
}
