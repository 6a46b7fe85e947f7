//! What happens to events between the bus and the handler. Nothing, unless a fault is set at `bus.deliver`: then they are late, lost,
//! doubled, held or overtaken, as messages are by brokers and networks that have a bad day.

use std::{collections::VecDeque, time::Duration};

use futures::future::join_all;
use types::Timestamp;

use crate::{
    bus::Delivery,
    clock::Clock,
    fault::{Effect, Faults, Passing},
};

/// How long an event waits to be overtaken by the next one of its key.
const OVERTAKING_PATIENCE: Duration = Duration::from_secs(1);

/// An event that waits to be overtaken. Its offset is not committed meanwhile.
#[derive(Debug)]
pub(super) struct Late {
    pub event: Delivery,
    pub until: Timestamp,
}

/// What comes through of one partition's events, in the order in which it is to be handled; what is to be overtaken and has not been
/// stays in `late`.
pub(super) async fn pass(faults: &Faults, clock: Clock, group: &str, events: Vec<Delivery>, late: &mut Vec<Late>) -> VecDeque<Delivery> {
    // Side by side: a delay makes each event late, it does not make the partition slow.
    let effect = |event: &Delivery| {
        let (topic, key) = (event.topic.clone(), event.key.clone());
        async move { faults.pass("bus.deliver", Passing { service: group, topic: Some(&topic), key: &key, region: None }).await }
    };
    let effects = join_all(events.iter().map(effect)).await;
    let mut through = VecDeque::with_capacity(events.len());
    for (event, effect) in events.into_iter().zip(effects) {
        let overtaken = late.iter().position(|late| late.event.key == event.key).map(|place| late.remove(place).event);
        match effect {
            Effect::Drop => {}
            Effect::Reorder if overtaken.is_none() => late.push(Late { event, until: clock.now().plus(OVERTAKING_PATIENCE) }),
            Effect::Duplicate => through.extend([event.clone(), event]),
            Effect::None | Effect::Fail | Effect::Reorder => through.push_back(event),
        }
        through.extend(overtaken);
    }
    let now = clock.now();
    through.extend(late.extract_if(.., |late| late.until <= now).map(|late| late.event));
    through
}
