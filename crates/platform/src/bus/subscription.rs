//! A member of a group, as its consumer sees it, whatever the bus stands on.

use std::{collections::BTreeSet, sync::Arc};

#[cfg(feature = "engines")]
use super::kafka::Member;
use super::{Bus, BusError, Delivery, Floor, reader::Reader};

/// Where a group stands in a partition: `offset` is that of the next event it wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub topic: Arc<str>,
    pub partition: u32,
    pub offset: u64,
}

/// Reads for its group until it is dropped.
pub struct Subscription {
    bus: Bus,
    group: String,
    pub(super) by: By,
}

/// Who reads.
pub(super) enum By {
    Embedded(Reader),
    #[cfg(feature = "engines")]
    Kafka(Member),
}

macro_rules! by_whom {
    ($by:expr, $reader:ident => $answer:expr) => {
        match $by {
            By::Embedded($reader) => $answer,
            #[cfg(feature = "engines")]
            By::Kafka($reader) => $answer,
        }
    };
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("group", &self.group).field("assignment", &self.assignment()).finish_non_exhaustive()
    }
}

impl Subscription {
    #[cfg_attr(not(feature = "engines"), expect(clippy::unused_async, reason = "the embedded bus lets in at once"))]
    pub(super) async fn join(bus: Bus, group: &str, topics: BTreeSet<Arc<str>>, member: &str) -> Result<Self, BusError> {
        let by = match &bus.floor {
            Floor::Embedded(embedded) => By::Embedded(Reader::join(embedded.clone(), group, topics, member)),
            #[cfg(feature = "engines")]
            Floor::Kafka(kafka) => By::Kafka(kafka.join(group, topics, member).await?),
        };
        Ok(Self { bus, group: group.to_owned(), by })
    }

    /// At most `max` events, those of one partition in order, all partitions in turn. Waits until there is one; answers with nothing
    /// when the assignment has changed. Asking says that what was polled before is done with: partitions that are meant for another
    /// member go to it now. After a rebalance new partitions start at the committed offset. Can be dropped at any time.
    pub async fn poll(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        by_whom!(&mut self.by, reader => reader.poll(max).await)
    }

    /// Says that the group is done with what lies before these offsets. It is seen at once and stored soon, without a wait: after a
    /// crash some events may come again. Refused, as a whole, when one of the partitions no longer belongs to this member.
    pub fn commit(&self, positions: &[Position]) -> Result<(), BusError> {
        by_whom!(&self.by, reader => reader.commit(positions))
    }

    /// The partitions that this member holds, with the next offset that it will poll.
    #[must_use]
    pub fn assignment(&self) -> Vec<Position> {
        by_whom!(&self.by, reader => reader.assignment())
    }

    /// Leaves these partitions (topic and number), and no others, out of the next polls: what was polled of them is not done with. One that is
    /// handed over or put elsewhere no longer rests.
    pub(crate) fn rest(&mut self, resting: &BTreeSet<(Arc<str>, u32)>) {
        by_whom!(&mut self.by, reader => reader.rest(resting));
    }

    /// The partitions that rest.
    pub(crate) fn resting(&self) -> BTreeSet<(Arc<str>, u32)> {
        by_whom!(&self.by, reader => reader.resting())
    }

    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.bus
    }
}
