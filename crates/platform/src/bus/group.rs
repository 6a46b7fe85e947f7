//! A consumer group: who belongs to it, which partition is whose, and how far it has read.
//!
//! A partition changes hands in two steps. The assignment names whom it is meant for; whoever holds it keeps it until it has committed
//! what it was given, or asks for more (then it is done with what it had), or leaves. So two members never work on one partition at
//! once, and a rebalance repeats no event that was being handled. Each handing over has a number of its own; a commit that comes with
//! an older one is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::Notify;

use super::layout::{Parked, Place};

/// A member's name and the number of its joining, so that one that comes again under its old name is another.
pub(super) type MemberId = (String, u64);

#[derive(Debug, Default)]
pub(super) struct Group {
    pub members: BTreeMap<MemberId, Member>,
    pub owners: BTreeMap<Place, Owner>,
    /// By place, the next offset that the group wants.
    pub committed: BTreeMap<Place, u64>,
    /// By topic, the keys that are parked.
    pub parked: BTreeMap<u32, BTreeMap<String, Parked>>,
    handed_over: u64,
}

#[derive(Debug)]
pub(super) struct Member {
    pub topics: BTreeSet<Arc<str>>,
    pub woken: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct Owner {
    pub holder: MemberId,
    /// The number of the handing over that made it the holder's.
    pub epoch: u64,
    meant_for: MemberId,
    /// The offset behind the last event that the holder was given.
    given: u64,
}

impl Group {
    /// Deals the partitions (in sorted order, with their topics) to the members in turn.
    pub fn rebalance(&mut self, partitions: &[(Arc<str>, Place)]) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        let mut turn = 0;
        let mut dealt = BTreeMap::new();
        for (topic, place) in partitions {
            let wants = |id: &&MemberId| self.members.get(*id).is_some_and(|member| member.topics.contains(topic));
            let Some(step) = (0..ids.len()).find(|step| ids.get((turn + step) % ids.len()).as_ref().is_some_and(wants)) else {
                continue;
            };
            turn = (turn + step) % ids.len();
            dealt.insert(*place, ids[turn].clone());
            turn += 1;
        }
        self.owners.retain(|place, _| dealt.contains_key(place));
        for (place, member) in dealt {
            match self.owners.get_mut(&place) {
                Some(owner) if self.members.contains_key(&owner.holder) => {
                    owner.meant_for = member;
                    self.hand_over_if_idle(place);
                }
                _ => self.hand_over(place, member),
            }
        }
    }

    pub fn leave(&mut self, id: &MemberId, partitions: &[(Arc<str>, Place)]) {
        if self.members.remove(id).is_some() {
            self.rebalance(partitions);
        }
    }

    /// The member is done with all that it was given: what is meant for others goes to them.
    pub fn release(&mut self, id: &MemberId) {
        let leaving: Vec<_> =
            self.owners.iter().filter(|(_, owner)| owner.holder == *id && owner.meant_for != *id).map(|(place, _)| *place).collect();
        for place in leaving {
            if let Some(heir) = self.owners.get(&place).map(|owner| owner.meant_for.clone()) {
                self.hand_over(place, heir);
            }
        }
    }

    pub fn owns(&self, id: &MemberId, place: Place, epoch: u64) -> bool {
        self.owners.get(&place).is_some_and(|owner| owner.holder == *id && owner.epoch == epoch)
    }

    /// Remembers that the holder was given what lies before `offset`.
    pub fn give(&mut self, place: Place, offset: u64) {
        if let Some(owner) = self.owners.get_mut(&place) {
            owner.given = offset;
        }
    }

    pub fn commit(&mut self, place: Place, offset: u64) {
        self.committed.insert(place, offset);
        self.hand_over_if_idle(place);
    }

    /// Puts the group elsewhere: whoever holds the partition starts from there, and its commits of before are refused.
    pub fn seek(&mut self, place: Place, offset: u64) {
        self.committed.insert(place, offset);
        if let Some(heir) = self.owners.get(&place).map(|owner| owner.meant_for.clone()) {
            self.hand_over(place, heir);
        }
    }

    pub fn wake(&self, place: Place) {
        if let Some(member) = self.owners.get(&place).and_then(|owner| self.members.get(&owner.holder)) {
            member.woken.notify_one();
        }
    }

    fn hand_over_if_idle(&mut self, place: Place) {
        let Some(owner) = self.owners.get(&place) else { return };
        if owner.holder == owner.meant_for {
            return;
        }
        if self.committed.get(&place).copied().unwrap_or(0) >= owner.given {
            let heir = owner.meant_for.clone();
            self.hand_over(place, heir);
        } else {
            // It may be waiting for events: asking again is what lets go.
            self.wake(place);
        }
    }

    fn hand_over(&mut self, place: Place, member: MemberId) {
        self.wake(place);
        self.handed_over += 1;
        self.owners.insert(place, Owner { holder: member.clone(), epoch: self.handed_over, meant_for: member, given: 0 });
        self.wake(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(partitions: u32) -> Vec<(Arc<str>, Place)> {
        (0..partitions).map(|partition| ("t".into(), (0, partition))).collect()
    }

    fn join(group: &mut Group, name: &str) -> MemberId {
        let id = (name.to_owned(), 0);
        group.members.insert(id.clone(), Member { topics: ["t".into()].into(), woken: Arc::default() });
        group.rebalance(&places(4));
        id
    }

    fn held(group: &Group, id: &MemberId) -> Vec<u32> {
        group.owners.iter().filter(|(_, owner)| owner.holder == *id).map(|(place, _)| place.1).collect()
    }

    #[test]
    fn partitions_are_dealt_in_turn_and_idle_ones_move_at_once() {
        let mut group = Group::default();
        let b = join(&mut group, "b");
        assert_eq!(held(&group, &b), [0, 1, 2, 3]);
        let a = join(&mut group, "a");
        assert_eq!((held(&group, &a), held(&group, &b)), (vec![0, 2], vec![1, 3]));
        group.leave(&b, &places(4));
        assert_eq!(held(&group, &a), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_being_handled_moves_once_it_is_done() {
        let mut group = Group::default();
        let b = join(&mut group, "b");
        let epoch = group.owners[&(0, 0)].epoch;
        group.give((0, 0), 7);
        group.give((0, 2), 9);
        let a = join(&mut group, "a");
        assert_eq!((held(&group, &a), held(&group, &b)), (vec![], vec![0, 1, 2, 3]));
        group.commit((0, 0), 6);
        assert!(group.owns(&b, (0, 0), epoch), "one event is still being handled");
        group.commit((0, 0), 7);
        assert!(!group.owns(&b, (0, 0), epoch));
        assert_eq!(held(&group, &a), [0]);
        group.release(&b);
        assert_eq!(held(&group, &a), [0, 2]);
    }

    #[test]
    fn a_member_gets_only_topics_that_it_asked_for() {
        let mut group = Group::default();
        let a = join(&mut group, "a");
        group.members.insert(("z".to_owned(), 0), Member { topics: ["other".into()].into(), woken: Arc::default() });
        let mut all = places(3);
        all.push(("zz-nobody".into(), (9, 0)));
        group.rebalance(&all);
        assert_eq!(held(&group, &a), [0, 1, 2]);
        assert_eq!(group.owners.len(), 3);
    }
}
