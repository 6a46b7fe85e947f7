//! A member of a group of the embedded bus, reading: what stands behind [`super::Subscription`]. It joins when it is made and leaves when it is dropped, also when its task is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::Notify;

use super::{
    BusError, Delivery, Position,
    embedded::Embedded,
    group::{Member, MemberId},
    layout::Place,
};

pub(super) struct Reader {
    pub bus: Embedded,
    pub group: String,
    id: MemberId,
    woken: Arc<Notify>,
    held: BTreeMap<Place, Held>,
    /// The partition that was read last: the next poll begins behind it.
    last: Option<Place>,
}

#[derive(Clone, Debug)]
struct Held {
    topic: Arc<str>,
    epoch: u64,
    /// The next offset to be polled.
    next: u64,
    /// Nothing is polled of it for now.
    rests: bool,
}

/// What one poll reads of one partition.
struct Slice {
    topic: Arc<str>,
    place: Place,
    from: u64,
    to: u64,
}

impl Reader {
    pub fn join(bus: Embedded, group: &str, topics: BTreeSet<Arc<str>>, member: &str) -> Self {
        let woken = Arc::new(Notify::new());
        let id = {
            let mut state = bus.log().state();
            let id = (member.to_owned(), state.next_serial());
            let partitions = state.partitions();
            let joined = state.groups.entry(group.to_owned()).or_default();
            joined.members.insert(id.clone(), Member { topics, woken: woken.clone() });
            joined.rebalance(&partitions);
            id
        };
        let mut reader = Self { bus, group: group.to_owned(), id, woken, held: BTreeMap::new(), last: None };
        reader.take_over();
        reader
    }

    pub async fn poll(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            if self.take_over() {
                return Ok(Vec::new());
            }
            let mut events = Vec::new();
            for slice in self.slices(max.max(1)) {
                let count = usize::try_from(slice.to - slice.from).unwrap_or(usize::MAX);
                events.extend(self.bus.log().read(&slice.topic, slice.place, slice.from, slice.to, count)?);
                if let Some(held) = self.held.get_mut(&slice.place) {
                    held.next = slice.to;
                }
                self.last = Some(slice.place);
            }
            if !events.is_empty() {
                return Ok(events);
            }
            self.woken.notified().await;
        }
    }

    pub fn commit(&self, positions: &[Position]) -> Result<(), BusError> {
        let first_unsaved = {
            let mut state = self.bus.log().state();
            let mut places = Vec::new();
            for position in positions {
                let place = state.place(&position.topic, position.partition)?;
                if !self.owns(&state, place) {
                    return Err(self.not_owned(&position.topic, position.partition));
                }
                places.push((place, position.offset));
            }
            let was_empty = state.unsaved.is_empty();
            let state = &mut *state;
            if let Some(group) = state.groups.get_mut(&self.group) {
                for (place, offset) in places {
                    group.commit(place, offset);
                    state.unsaved.insert((self.group.clone(), place));
                }
            }
            was_empty && !state.unsaved.is_empty()
        };
        if first_unsaved { self.bus.save_offsets() } else { Ok(()) }
    }

    pub fn assignment(&self) -> Vec<Position> {
        let position = |(place, held): (&Place, &Held)| Position { topic: held.topic.clone(), partition: place.1, offset: held.next };
        self.held.iter().map(position).collect()
    }

    pub fn rest(&mut self, resting: &BTreeSet<(Arc<str>, u32)>) {
        for (place, held) in &mut self.held {
            held.rests = resting.contains(&(held.topic.clone(), place.1));
        }
    }

    pub fn resting(&self) -> BTreeSet<(Arc<str>, u32)> {
        self.held.iter().filter(|(_, held)| held.rests).map(|(place, held)| (held.topic.clone(), place.1)).collect()
    }

    /// What shows that a partition is this member's: who it is, and since when.
    pub fn claim(&self, topic: &str, partition: u32) -> Result<(MemberId, u64, Place), BusError> {
        let place = self.bus.log().state().place(topic, partition)?;
        let held = self.held.get(&place).ok_or_else(|| self.not_owned(topic, partition))?;
        Ok((self.id.clone(), held.epoch, place))
    }

    fn owns(&self, state: &super::state::State, place: Place) -> bool {
        let Some(held) = self.held.get(&place) else { return false };
        state.groups.get(&self.group).is_some_and(|group| group.owns(&self.id, place, held.epoch))
    }

    fn not_owned(&self, topic: &str, partition: u32) -> BusError {
        BusError::NotOwned { group: self.group.clone(), topic: topic.to_owned(), partition }
    }

    /// Lets go of what is meant for others and takes what has become this member's; says whether anything changed.
    fn take_over(&mut self) -> bool {
        let mut state = self.bus.log().state();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.release(&self.id);
        }
        let Some(group) = state.groups.get(&self.group) else { return false };
        let mine = |(_, owner): &(&Place, &super::group::Owner)| owner.holder == self.id;
        let owned: BTreeMap<Place, u64> = group.owners.iter().filter(mine).map(|(place, owner)| (*place, owner.epoch)).collect();
        let same = |(place, held): (&Place, &Held)| owned.get(place) == Some(&held.epoch);
        if owned.len() == self.held.len() && self.held.iter().all(same) {
            return false;
        }
        let before = std::mem::take(&mut self.held);
        for (place, epoch) in owned {
            let topic = state.names.get(place.0 as usize).cloned().unwrap_or_default();
            let held = before.get(&place).filter(|held| held.epoch == epoch).cloned();
            self.held.insert(place, held.unwrap_or_else(|| Held { topic, epoch, next: state.position(group, place), rests: false }));
        }
        true
    }

    /// What the next poll reads: of each partition that has something an equal share, beginning behind the one that was read last.
    fn slices(&mut self, max: usize) -> Vec<Slice> {
        let mut state = self.bus.log().state();
        let mut ready = Vec::new();
        for (place, held) in &mut self.held {
            let partition = state.partition(*place);
            held.next = held.next.max(partition.start);
            if held.next < partition.end && !held.rests {
                ready.push(Slice { topic: held.topic.clone(), place: *place, from: held.next, to: partition.end });
            }
        }
        let turn = ready.iter().position(|slice| self.last.is_none_or(|last| slice.place > last)).unwrap_or(0);
        ready.rotate_left(turn);
        let share = (max / ready.len().max(1)).max(1) as u64;
        ready.truncate(max);
        if let Some(group) = state.groups.get_mut(&self.group) {
            for slice in &mut ready {
                slice.to = slice.to.min(slice.from + share);
                group.give(slice.place, slice.to);
            }
        }
        ready
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.bus.log().state();
        let partitions = state.partitions();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.leave(&self.id, &partitions);
        }
    }
}
