//! The one thread that writes to the disk. Whoever publishes queues up; what has queued up while the last commit was under way becomes
//! the next one, so that any number of publishers share one fsync. A full queue makes publishers wait, never a runtime thread.

use std::{io, sync::Arc, thread::JoinHandle};

use tokio::sync::{
    mpsc::{self, Receiver, Sender},
    oneshot,
};

use types::Timestamp;

use super::{
    BusError,
    layout::event_size,
    log::{Answer, Job, Log},
};

const QUEUE_JOBS: usize = 1_024;
/// What one commit takes at most (the last job may go beyond).
const COMMIT_BYTES: usize = 4 * 1_024 * 1_024;

#[derive(Debug)]
pub(super) struct Writer {
    /// Taken when the bus goes: that ends the thread.
    queue: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queued {
    asked_at: Timestamp,
    job: Job,
    reply: Option<oneshot::Sender<Answer>>,
}

impl Writer {
    pub fn start(log: Arc<Log>) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS);
        let thread = std::thread::Builder::new().name("bus-writer".to_owned()).spawn(move || write_all(&log, jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Whether it still takes jobs.
    pub fn is_alive(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.is_closed())
    }

    pub async fn write(&self, asked_at: Timestamp, job: Job) -> Answer {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(BusError::Closed)?;
        queue.send(Queued { asked_at, job, reply: Some(reply) }).await.map_err(|_| BusError::Closed)?;
        answer.await.map_err(|_| BusError::Closed)?
    }

    /// Asks for a commit of the offsets. When the queue is full a commit is coming anyway, and takes them along.
    pub fn nudge(&self, asked_at: Timestamp) {
        if let Some(queue) = &self.queue {
            drop(queue.try_send(Queued { asked_at, job: Job::Offsets, reply: None }));
        }
    }
}

impl Drop for Writer {
    /// Waits for the last commit, so that the folder is free when the bus is gone.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the event log panicked");
        }
    }
}

fn write_all(log: &Log, mut queue: Receiver<Queued>) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = size(&first.job);
        let mut batch = vec![first];
        while bytes < COMMIT_BYTES
            && let Ok(next) = queue.try_recv()
        {
            bytes += size(&next.job);
            batch.push(next);
        }
        let (jobs, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|queued| ((queued.asked_at, queued.job), queued.reply)).unzip();
        for (answer, reply) in log.write(jobs).into_iter().zip(replies) {
            if let Some(reply) = reply {
                // Whoever asked may be gone; what was asked for has happened all the same.
                drop(reply.send(answer));
            } else if let Err(error) = answer {
                tracing::warn!(error = &error as &dyn std::error::Error, "committed offsets were not stored; they are tried again");
            }
        }
    }
    if !log.state().unsaved.is_empty() {
        drop(log.write(vec![(Timestamp::from_micros(0), Job::Offsets)]));
    }
}

fn size(job: &Job) -> usize {
    match job {
        Job::Publish(events) => events.iter().map(event_size).sum(),
        Job::Bury(burial) => burial.letters.iter().map(|letter| event_size(&letter.event)).sum(),
        _ => 0,
    }
}
