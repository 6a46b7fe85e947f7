//! How many change something at a time. An engine that finds no order for two of them refuses one, and what that one has done was for nothing: on
//! a busy machine with small tables, PostgreSQL refused two of three. So whoever is refused makes the gate a little narrower, and whoever
//! is not opens it by much less again (additive increase, multiplicative decrease): about one in ten is refused where many come, and where
//! nobody is, it stands open.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

const NARROWER: f64 = 0.7;
const WIDER: f64 = 0.05;

pub(super) struct Gate {
    free: Semaphore,
    width: Mutex<Width>,
    most: f64,
}

struct Width {
    wanted: f64,
    /// Permits that there are, with those that are out; it follows what is wanted as they come back.
    given: usize,
}

impl Gate {
    /// Wide open: so many at a time, and never more.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { free: Semaphore::new(most), width: Mutex::new(Width { wanted: most as f64, given: most }), most: most as f64 }
    }

    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.free.acquire().await
    }

    /// Somebody goes who was refused so often.
    pub(super) fn leave(&self, permit: SemaphorePermit<'_>, refused: u32) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = NARROWER.powi(i32::try_from(refused).unwrap_or(i32::MAX));
        width.wanted = if refused == 0 { (width.wanted + WIDER).min(self.most) } else { (width.wanted * factor).max(1.0) };
        if width.given > width.wanted as usize {
            width.given -= 1;
            permit.forget();
        } else if width.given < width.wanted as usize {
            width.given += 1;
            self.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(gate: &Gate, refused: u32) {
        let permit = gate.enter().await.unwrap();
        gate.leave(permit, refused);
    }

    #[tokio::test]
    async fn who_is_refused_makes_it_narrower_and_who_is_not_opens_it_again() {
        let gate = Gate::new(10);
        for _ in 0..100 {
            pass(&gate, 2).await;
        }
        assert_eq!(gate.free.available_permits(), 1, "one always gets through");
        for _ in 0..10 {
            pass(&gate, 0).await;
        }
        assert_eq!(gate.free.available_permits(), 1, "not for a few");
        for _ in 0..1_000 {
            pass(&gate, 0).await;
        }
        assert_eq!(gate.free.available_permits(), 10, "and never more than there were");
    }

    #[tokio::test]
    async fn those_inside_are_counted() {
        let gate = Gate::new(2);
        let (first, second) = (gate.enter().await.unwrap(), gate.enter().await.unwrap());
        assert!(gate.free.try_acquire().is_err());
        gate.leave(first, 3);
        assert!(gate.free.try_acquire().is_err(), "it is narrower by the one who left");
        gate.leave(second, 0);
        assert_eq!(gate.free.available_permits(), 1);
    }
}
