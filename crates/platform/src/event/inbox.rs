//! The consuming side: typed handlers over the bus.

use std::sync::Arc;

use futures::future::BoxFuture;
use types::{EventId, Timestamp, id::Uuid};

use super::Event;
use crate::{
    bus::Delivery,
    clock::Clock,
    consumer::{Asking, Handler, HandlerError},
    db::{Db, DbError, Tx},
    schema::{Codec, CodecError, SchemaError},
    service::Env,
    telemetry::{
        context::{Context, Contexts},
        traces::{Span, SpanKind, Traces},
    },
    values,
};

/// An event that has arrived.
#[derive(Clone, Debug)]
pub struct Received<E> {
    pub event: E,
    pub id: EventId,
    /// When it was committed by whoever tells it.
    pub at: Timestamp,
    pub key: String,
    pub context: Context,
}

/// One topic that a service listens to.
#[derive(Clone)]
pub struct Consumer {
    pub topic: &'static str,
    pub handler: Arc<dyn Handler>,
    /// What becomes of an event that cannot be handled.
    pub dead_letters: Asking,
}

impl Consumer {
    fn new(topic: &'static str, handler: Arc<dyn Handler>) -> Self {
        Self { topic, handler, dead_letters: Asking::default() }
    }

    /// The same, with something else done about an event that cannot be handled.
    #[must_use]
    pub fn with_dead_letters(self, dead_letters: Asking) -> Self {
        Self { dead_letters, ..self }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer({})", self.topic)
    }
}

impl From<DbError> for HandlerError {
    /// A store that does not answer does so for every event. Whatever else it says it may say of this event only; so it is tried again a
    /// few times before the event is set aside.
    fn from(error: DbError) -> Self {
        if error.is_transient() { Self::Unavailable(error.to_string()) } else { Self::Retry(error.to_string()) }
    }
}

/// Listens to an event whose effect is a transaction of `db`: the note that it was taken is committed with the effect. A batch of
/// events shares a transaction; when one of them fails, each is tried by itself.
pub fn taking<E: Event>(
    env: &Env,
    effect: impl AsyncFn(&mut Tx<'_>, &Received<E>) -> Result<(), HandlerError> + Send + Sync + 'static,
) -> Result<Consumer, SchemaError> {
    let (db, service) = (env.db(), env.service);
    let handler = Transactional {
        db,
        clock: env.clock,
        contexts: env.contexts.clone(),
        codec: codec(env)?,
        note: format!("INSERT INTO {service}_inbox (consumer, event_id, \"key\", at) VALUES (?, ?, ?, ?)").into(),
        effect: Arc::new(effect),
    };
    Ok(Consumer::new(E::TOPIC, Arc::new(handler)))
}

/// Listens to an event whose effect is not a transaction of ours (a store that has none, a call): the effect itself must be one that a
/// repeat does not change.
pub fn direct<E: Event>(
    env: &Env,
    effect: impl Fn(Received<E>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static,
) -> Result<Consumer, SchemaError> {
    Ok(Consumer::new(E::TOPIC, Arc::new(Direct { codec: codec(env)?, contexts: env.contexts.clone(), effect, unmoved: None })))
}

/// The same, of an event that often changes nothing here: those of which `changes_nothing` says so, one behind the other, are handed to `note`
/// together. Their notes then share a transaction.
pub fn direct_or_noted<E: Event>(
    env: &Env,
    changes_nothing: impl Fn(&E) -> bool + Send + Sync + 'static,
    note: impl Fn(Vec<Received<E>>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static,
    effect: impl Fn(Received<E>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static,
) -> Result<Consumer, SchemaError> {
    let unmoved = Unmoved { is: Box::new(changes_nothing), note: Box::new(note) };
    Ok(Consumer::new(E::TOPIC, Arc::new(Direct { codec: codec(env)?, contexts: env.contexts.clone(), effect, unmoved: Some(unmoved) })))
}

fn codec<E: Event>(env: &Env) -> Result<Codec<E>, SchemaError> {
    Codec::register(&env.registry, &format!("{}-value", E::TOPIC))
}

/// Notes that an event which is being taken has no effect, since it tells of an older version than what is known.
pub async fn pass_over<E: Event>(tx: &mut Tx<'_>, service: &str, received: &Received<E>) -> Result<(), DbError> {
    let note = format!("UPDATE {service}_inbox SET passed_over = TRUE WHERE consumer = ? AND event_id = ?");
    tx.execute(&note, values![E::TOPIC, received.id]).await.map(|_| ())
}

async fn read<E: Event>(codec: &Codec<E>, contexts: &Contexts, delivery: &Delivery) -> Result<Received<E>, HandlerError> {
    let poison = |what: String| HandlerError::Poison(what);
    let event = codec.receive(&delivery.value).await.map_err(|error| match error {
        CodecError::LookUp { .. } => HandlerError::Unavailable(crate::with_causes(&error)),
        error => poison(error.to_string()),
    })?;
    let id = delivery.header("ce_id").and_then(|id| id.parse::<Uuid>().ok()).ok_or_else(|| poison("it has no `ce_id`".into()))?;
    let at = delivery.header("ce_time").and_then(|at| at.parse().ok()).unwrap_or(delivery.timestamp);
    let context = contexts.from_pairs(delivery.headers.iter());
    Ok(Received { event, id: id.into(), at, key: delivery.key.clone(), context })
}

/// The span of taking an event: a part of the trace in which it was told, under the work that told it.
fn span<E: Event>(traces: &Traces, event: &Received<E>) -> Span {
    if !traces.is_on() {
        return Span::none();
    }
    let id = event.id.to_string();
    let attributes = [("messaging.system", "crashcart"), ("messaging.destination.name", E::TOPIC), ("messaging.message.id", id.as_str())];
    traces.span(&format!("process {}", E::TOPIC), SpanKind::Consumer, &event.context, &attributes)
}

fn end(span: &mut Span, done: &Result<(), HandlerError>) {
    if let Err(error) = done {
        span.fail(&error.to_string());
    }
}

struct Transactional<E: Event, F> {
    db: Db,
    clock: Clock,
    codec: Codec<E>,
    contexts: Contexts,
    note: Arc<str>,
    effect: Arc<F>,
}

impl<E, F> Transactional<E, F>
where
    E: Event,
    F: AsyncFn(&mut Tx<'_>, &Received<E>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    async fn apply(&self, events: Vec<Received<E>>) -> Result<(), HandlerError> {
        // Around the transaction and not in it: it may run more than once, and it ends when the effect is durable.
        let mut spans: Vec<Span> = if self.contexts.traces().is_on() {
            events.iter().map(|event| span(self.contexts.traces(), event)).collect()
        } else {
            Vec::new()
        };
        let (note, effect, clock) = (self.note.clone(), self.effect.clone(), self.clock);
        let done = self
            .db
            .write(async move |tx: &mut Tx<'_>| {
                for event in &events {
                    if tx.insert_new(&note, values![E::TOPIC, event.id, &event.key, clock.now()]).await? {
                        event.context.clone().scope(effect(tx, event)).await?;
                    }
                }
                Ok(())
            })
            .await;
        match &done {
            // Each comes again by itself, with a span that says what became of it.
            Err(_) if spans.len() > 1 => spans.into_iter().for_each(Span::forget),
            _ => spans.iter_mut().for_each(|span| end(span, &done)),
        }
        done
    }
}

impl<E, F> Handler for Transactional<E, F>
where
    E: Event,
    F: AsyncFn(&mut Tx<'_>, &Received<E>) -> Result<(), HandlerError> + Send + Sync + 'static,
{
    fn handle<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Result<(), HandlerError>>> {
        Box::pin(async move {
            let mut read = Vec::with_capacity(batch.len());
            for delivery in batch {
                read.push(self::read(&self.codec, &self.contexts, delivery).await);
            }
            if read.len() > 1 && read.iter().all(Result::is_ok) {
                let events = read.iter().filter_map(|event| event.as_ref().ok().cloned()).collect();
                if self.apply(events).await.is_ok() {
                    return batch.iter().map(|_| Ok(())).collect();
                }
            }
            let mut results = Vec::with_capacity(read.len());
            for event in read {
                let result = match event {
                    Ok(event) => self.apply(vec![event]).await,
                    Err(error) => Err(error),
                };
                let failed = result.is_err();
                results.push(result);
                if failed {
                    break;
                }
            }
            results
        })
    }
}

/// Which events change nothing, and how it is kept that they were heard.
struct Unmoved<E> {
    is: Box<dyn Fn(&E) -> bool + Send + Sync>,
    note: Box<dyn Fn(Vec<Received<E>>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>,
}

struct Direct<E: Event, F> {
    codec: Codec<E>,
    contexts: Contexts,
    effect: F,
    unmoved: Option<Unmoved<E>>,
}

impl<E, F> Direct<E, F>
where
    E: Event,
    F: Fn(Received<E>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static,
{
    async fn take(&self, event: Received<E>) -> Result<(), HandlerError> {
        let mut span = span(self.contexts.traces(), &event);
        let done = event.context.clone().scope((self.effect)(event)).await;
        end(&mut span, &done);
        done
    }

    /// Notes what has gathered, and says what became of each.
    async fn note(&self, unmoved: &Unmoved<E>, gathered: &mut Vec<Received<E>>) -> Vec<Result<(), HandlerError>> {
        let events = std::mem::take(gathered);
        let mut spans: Vec<Span> = events.iter().map(|event| span(self.contexts.traces(), event)).collect();
        let count = events.len();
        let done = if events.is_empty() { Ok(()) } else { (unmoved.note)(events).await };
        spans.iter_mut().for_each(|span| end(span, &done));
        match done {
            Ok(()) => (0..count).map(|_| Ok(())).collect(),
            // The others come again with it.
            Err(error) => vec![Err(error)],
        }
    }
}

impl<E, F> Handler for Direct<E, F>
where
    E: Event,
    F: Fn(Received<E>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static,
{
    fn handle<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Result<(), HandlerError>>> {
        Box::pin(async move {
            let (mut results, mut gathered) = (Vec::with_capacity(batch.len()), Vec::new());
            for delivery in batch {
                let read = read(&self.codec, &self.contexts, delivery).await;
                if let Some(unmoved) = &self.unmoved {
                    match &read {
                        Ok(event) if (unmoved.is)(&event.event) => {
                            gathered.extend(read);
                            continue;
                        }
                        _ => results.extend(self.note(unmoved, &mut gathered).await),
                    }
                }
                if results.last().is_some_and(Result::is_err) {
                    return results;
                }
                let result = match read {
                    Ok(event) => self.take(event).await,
                    Err(error) => Err(error),
                };
                let failed = result.is_err();
                results.push(result);
                if failed {
                    return results;
                }
            }
            if let Some(unmoved) = &self.unmoved {
                results.extend(self.note(unmoved, &mut gathered).await);
            }
            results
        })
    }
}
