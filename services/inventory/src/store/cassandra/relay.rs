//! Tells what stands in the journal, in the order of its numbers, and ends what a process left behind that died in between.
//!
//! **Order.** Two operations on one cell were decided one after the other, and the second took its number after it had read what the first left.
//! So whoever lists all entries and looks at each afterwards sees the first as decided if the second is. An entry that is not decided
//! yet has nothing to do with those behind it, which need not wait for it.
//!
//! **The mark** goes over what is told, up to the first entry that is not, and up to the first number of which nothing is known: it was taken,
//! and its entry is still to come, or never will. After a minute nobody waits for it any more; what lies behind it is told meanwhile.

use std::time::Duration;

use platform::{
    db::DbError,
    event::{RelayError, Sealed},
    service::Progress,
};
use tokio::sync::Notify;

use super::{
    Arc, Cassandra, Fate,
    rows::{self, Decided, Entry, Lock, Written},
};

/// How many entries are carried at a time, and how many are read at once.
const BATCH: usize = 200;
/// How long an attempt may take that was begun; whoever takes longer has to begin again.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long who died while he told keeps others from it. Who takes longer is not alone: both tell in order, and consumers know an event again.
const LEASE: Duration = Duration::from_secs(10);
/// When it looks again after it found another process at work.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const MARK: &str = "told";

impl Cassandra {
    /// Rung when there is something to tell.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Carries up to one batch. A crash between the publication and the note of it publishes again: consumers dedupe by event id.
    pub async fn tell(&self) -> Result<Progress, RelayError> {
        let later = || Progress::Until(self.clock.now().plus(LOOK_AGAIN));
        // Another instance is at it, and may have looked before what we were woken for.
        let Some(_lease) = self.leases.take(&format!("{}/journal", self.space.service())) else { return Ok(later()) };
        let mark = rows::mark(&self.space, MARK).await?.unwrap_or(0);
        if rows::entries_after(&self.space, mark, 1).await?.is_empty() {
            return Ok(Progress::Idle);
        }
        let lease = self.space.lease("journal", LEASE).await.map_err(DbError::from)?;
        let Some(lease) = lease else { return Ok(later()) };
        let told = self.carry().await;
        lease.end().await;
        told
    }

    async fn carry(&self) -> Result<Progress, RelayError> {
        let mut mark = rows::mark(&self.space, MARK).await?.unwrap_or(0);
        let began = mark;
        let (entries, is_full) = self.listed(mark).await?;
        let mut known = Vec::with_capacity(entries.len());
        for entry in entries {
            known.push((self.written(&entry).await?, entry));
        }
        let pending = known.iter().filter(|(_, entry)| entry.told_at.is_none()).filter_map(|(written, _)| written.as_ref());
        let events: Vec<Sealed> = pending.flat_map(|written| written.events.iter().cloned()).collect();
        if !events.is_empty() {
            let service = self.space.service();
            self.bus.publish(events.into_iter().map(|event| event.outgoing(service)).collect()).await?;
        }
        let mut is_forward = false;
        let now = self.clock.now();
        let mut is_whole = true;
        for (written, entry) in &known {
            let is_late = now.since(entry.at) > PATIENCE;
            if written.is_some() && entry.told_at.is_none() {
                rows::mark_told(&self.space, entry.seq, now).await?;
                self.finish(entry).await?;
                is_forward = true;
            }
            is_whole = is_whole && written.is_some() && (entry.seq == mark + 1 || is_late);
            if is_whole {
                mark = entry.seq + entry.span - 1;
            }
        }
        if mark > began {
            rows::set_mark(&self.space, MARK, mark).await?;
            is_forward = true;
        }
        // Without a step forward the next batch would be the same.
        Ok(if is_full && is_forward { Progress::More } else { Progress::Idle })
    }

    /// The entries behind the mark, until a batch of them is still to be told; and whether there are more.
    async fn listed(&self, mark: i64) -> Result<(Vec<Entry>, bool), DbError> {
        let (mut entries, mut after, mut pending) = (Vec::new(), mark, 0);
        while pending < BATCH {
            let page = rows::entries_after(&self.space, after, BATCH).await?;
            let is_last = page.len() < BATCH;
            after = page.last().map_or(after, |last| last.seq);
            for entry in page {
                let is_told = entry.told_at.is_some();
                pending += usize::from(!is_told);
                // Of what is told only its place is asked for.
                entries.push(if is_told { Entry { written: Some(Written::default()), ..entry } } else { entry });
            }
            if is_last {
                return Ok((entries, false));
            }
        }
        Ok((entries, true))
    }

    /// What an entry tells; nothing while it is open. What was decided is applied before.
    async fn written(&self, entry: &Entry) -> Result<Option<Written>, DbError> {
        if entry.written.is_some() {
            return Ok(entry.written.clone());
        }
        let lock = Lock { operation: entry.operation, attempt: entry.seq };
        match self.fate(lock).await? {
            Fate::Done(effects) => {
                self.apply(lock, &effects).await?;
                Ok(Some(Written::of(&effects)))
            }
            Fate::Over => self.closed(entry).await,
            Fate::Open(over) if self.clock.now().since(entry.at) > PATIENCE => {
                if !rows::give_up(&self.space, entry.operation, over, entry.seq, self.clock.now()).await? {
                    return Ok(None);
                }
                self.closed(entry).await
            }
            Fate::Open(_) => Ok(None),
        }
    }

    async fn closed(&self, entry: &Entry) -> Result<Option<Written>, DbError> {
        rows::close_entry(&self.space, entry.seq, entry.span, entry.operation, entry.at).await?;
        Ok(Some(Written::default()))
    }

    async fn finish(&self, entry: &Entry) -> Result<(), DbError> {
        let known: Option<Decided> = rows::operation(&self.space, entry.operation).await?;
        if let Some(known) = known.filter(|known| known.attempt == entry.seq && known.effects.is_some()) {
            rows::finish(&self.space, entry.operation, Some(known.attempt), known).await?;
        }
        Ok(())
    }
}
