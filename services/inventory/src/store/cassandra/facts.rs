//! The facts of the stock where it is in Cassandra, the same as those of the tables. What was decided and is not applied yet is told as it was
//! decided.

use platform::{
    audit::{AnswerFact, InboxFact, OutboxFact},
    db::DbError,
};
use types::Timestamp;

use super::{
    Cassandra, Fate,
    rows::{self, Entry, Key, Lock, Phase, Written},
};
use crate::{
    audit::{MovementFact, ReservationFact, StockFact},
    config::Hold,
    domain::Place,
};

/// How many SKUs or entries are read at a time.
const PAGE: usize = 500;

impl Cassandra {
    /// The counters of every place, by when it was first filled. Where a hold is a time to live, what a reader sees of them now.
    pub async fn stock_facts(&self, since: i64, hold: Hold) -> Result<Vec<StockFact>, DbError> {
        let (mut facts, mut after) = (Vec::new(), String::new());
        let now = self.clock.now();
        loop {
            let skus = rows::skus_after(&self.space, &after, PAGE as u32).await?;
            let Some(last) = skus.last() else { break };
            after = last.to_string();
            for sku in skus {
                let places = match hold {
                    Hold::Ttl => self.standing(&sku).await?,
                    Hold::Fenced => rows::places(self.seen(&Key::Sku(sku.clone())).await?.body.as_deref())?,
                };
                for (warehouse, standing) in places {
                    let place = Place { sku: sku.clone(), warehouse };
                    let mut fact = StockFact::new(standing.seq, standing.updated_at, place, standing.shelf);
                    if hold == Hold::Ttl {
                        fact.at = now;
                    }
                    facts.push(fact);
                }
            }
        }
        facts.retain(|fact| fact.seq > since);
        facts.sort_by_key(|fact| fact.seq);
        Ok(facts)
    }

    pub async fn movement_facts(&self, since: i64, limit: u32) -> Result<Vec<MovementFact>, DbError> {
        let of = |entry: &Entry, written: Written| {
            (entry.seq..).zip(written.movements).map(|(seq, line)| (seq, MovementFact::new(seq, line))).collect::<Vec<_>>()
        };
        self.facts(since, limit, of).await
    }

    pub async fn outbox_facts(&self, since: i64, limit: u32) -> Result<Vec<OutboxFact>, DbError> {
        let of = |entry: &Entry, written: Written| {
            let status = if entry.told_at.is_some() { "SENT" } else { "PENDING" };
            let fact = |(seq, event)| (seq, OutboxFact::of(seq, event, status));
            (entry.seq..).zip(written.events).map(fact).collect::<Vec<_>>()
        };
        self.facts(since, limit, of).await
    }

    pub async fn reservation_facts(&self, since: i64, limit: u32) -> Result<Vec<ReservationFact>, DbError> {
        let of =
            |entry: &Entry, written: Written| written.made.map(|order| (entry.seq, (entry.seq, order))).into_iter().collect::<Vec<_>>();
        let mut facts = Vec::new();
        for (token, order) in self.facts(since, limit, of).await? {
            let cell = self.seen(&Key::Order(order)).await?;
            let found = rows::reservations(cell.body.as_deref())?.into_iter().find(|reservation| reservation.fencing_token == token);
            facts.extend(found.map(ReservationFact::new));
        }
        Ok(facts)
    }

    /// Events that were taken. They have no order of their own: here a fact's number is its place, the oldest first.
    pub async fn inbox_facts(&self, since: i64) -> Result<Vec<InboxFact>, DbError> {
        let mut taken: Vec<_> = rows::operations(&self.space)
            .await?
            .into_iter()
            .filter(|known| known.phase != Phase::Undone)
            .filter_map(|known| Some((known.at, known.note.topic?, known.note.event_id?, known.note.event_key.unwrap_or_default())))
            .collect();
        taken.sort_by(|one, other| (one.0, &one.1, one.2.uuid()).cmp(&(other.0, &other.1, other.2.uuid())));
        let numbered = (1..).zip(taken).filter(|(seq, _)| *seq > since);
        Ok(numbered.map(|(seq, (at, topic, id, key))| InboxFact::of(seq, at, id, topic, key)).collect())
    }

    /// Answers that are kept, numbered in the same way.
    pub async fn answer_facts(&self, since: i64) -> Result<Vec<AnswerFact>, DbError> {
        let mut kept: Vec<_> = rows::operations(&self.space)
            .await?
            .into_iter()
            .filter(|known| known.phase != Phase::Undone)
            .filter_map(|known| Some(((known.at, known.note.endpoint?, known.note.token?), known.note.fingerprint?, known.answer?)))
            .collect();
        kept.sort_by(|one, other| one.0.cmp(&other.0));
        let numbered = (1..).zip(kept).filter(|(seq, _)| *seq > since);
        let fact = |(seq, ((at, endpoint, token), fingerprint, answer)): (i64, ((Timestamp, String, String), Vec<u8>, _))| {
            AnswerFact::of(seq, at, endpoint, &token, &fingerprint, &answer)
        };
        Ok(numbered.map(fact).collect())
    }

    /// What the entries of the journal tell, behind a number and up to about a limit, in order.
    async fn facts<T>(&self, since: i64, limit: u32, of: impl Fn(&Entry, Written) -> Vec<(i64, T)>) -> Result<Vec<T>, DbError> {
        let (mut facts, mut after) = (Vec::new(), rows::before_entry_of(since).max(0));
        while facts.len() < limit as usize {
            let entries = rows::entries_after(&self.space, after, PAGE).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in entries {
                let written = match &entry.written {
                    Some(written) => Some(written.clone()),
                    None => match self.fate(Lock { operation: entry.operation, attempt: entry.seq }).await? {
                        Fate::Done(effects) => Some(Written::of(&effects)),
                        Fate::Over | Fate::Open(_) => None,
                    },
                };
                if let Some(written) = written {
                    facts.extend(of(&entry, written).into_iter().filter(|(seq, _)| *seq > since).map(|(_, fact)| fact));
                }
            }
        }
        Ok(facts)
    }
}
