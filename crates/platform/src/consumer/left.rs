//! What a lane leaves behind between two polls: events that wait to be overtaken, and those at whose first it stands still. Neither is committed, so
//! what is lost with the consumer comes again.

use std::collections::VecDeque;

use types::Timestamp;

use super::delivery::Late;
use crate::bus::Delivery;

/// An event on its way through the handler.
pub(super) struct Work {
    pub event: Delivery,
    /// How often it failed for a reason that may be its own.
    pub failures: u32,
    /// How often it could not be tried.
    pub waits: u32,
}

impl Work {
    pub const fn new(event: Delivery) -> Self {
        Self { event, failures: 0, waits: 0 }
    }
}

/// Events of which the first cannot be handled, and must be before the others are.
pub(super) struct Stuck {
    pub work: VecDeque<Work>,
    /// When it is tried again.
    pub until: Timestamp,
}

#[derive(Default)]
pub(super) struct Left {
    pub late: Vec<Late>,
    pub stuck: Option<Stuck>,
}

impl Left {
    pub fn is_empty(&self) -> bool {
        self.late.is_empty() && self.stuck.is_none()
    }

    /// When something must be done about it.
    pub fn until(&self) -> Option<Timestamp> {
        self.late.iter().map(|late| late.until).chain(self.stuck.as_ref().map(|stuck| stuck.until)).min()
    }
}
