//! Answers to conditional writes that are lost on purpose (`lost_answers_share`), half of them before the write was applied, half after. The
//! second is chance's, by the name of the write.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use platform::{Chance, service::Env};
use rand::RngExt;
use types::id::Uuid;

/// When an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Before,
    After,
}

#[derive(Clone, Debug)]
pub struct LostAnswers {
    service: &'static str,
    chance: Chance,
    share: f64,
    /// Counts writes, so that each has its own chance of losing its answer.
    writes: Arc<AtomicU64>,
}

impl LostAnswers {
    #[must_use]
    pub fn new(env: &Env, share: f64) -> Self {
        Self { service: env.service, chance: env.chance, share, writes: Arc::default() }
    }

    /// What becomes of the answer to the next write, which has this name.
    #[must_use]
    pub fn next(&self, name: Uuid) -> Option<Lost> {
        if self.share <= 0.0 {
            return None;
        }
        let entity = format!("{name}/{}", self.writes.fetch_add(1, Ordering::Relaxed));
        let mut stream = self.chance.stream(self.service, &entity, "lost answers");
        if !stream.random_bool(self.share.min(1.0)) {
            return None;
        }
        Some(if stream.random_bool(0.5) { Lost::Before } else { Lost::After })
    }
}
