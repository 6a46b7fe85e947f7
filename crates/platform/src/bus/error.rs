//! What can go wrong with the bus.

use std::path::PathBuf;

use super::store::StoreError;

/// Why the bus did not do what it was asked. Cheap to clone: all who waited for one commit get the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BusError {
    #[error("there is no topic `{0}`; create it first")]
    UnknownTopic(String),
    #[error("topic `{topic}` has {partitions} partitions; there is no partition {partition}")]
    UnknownPartition { topic: String, partitions: u32, partition: u32 },
    #[error("topic `{topic}` has {has} partitions and cannot be given {wanted}: its keys would move")]
    Partitions { topic: String, has: u32, wanted: u32 },
    #[error("topic `{topic}` cannot have {wanted} partitions; give it 1 to {limit}")]
    PartitionCount { topic: String, wanted: u32, limit: u32 },
    #[error("`{0}` is no name: use 1 to 200 of the characters a-z A-Z 0-9 . _ -")]
    Name(String),
    #[error("an event for `{topic}` has {bytes} bytes; at most {limit} fit")]
    TooLarge { topic: String, bytes: usize, limit: usize },
    #[error("an event for `{topic}` has a key of {bytes} bytes; at most {limit} are allowed")]
    LongKey { topic: String, bytes: usize, limit: usize },
    #[error("the bus did not take the events for `{topic}`; none of them is published, so publish them again")]
    Refused { topic: String },
    #[error("partition {partition} of `{topic}` no longer belongs to this member of `{group}`; its offset stays")]
    NotOwned { group: String, topic: String, partition: u32 },
    #[error("key `{key}` of `{topic}` is not parked for `{group}`")]
    NotParked { group: String, topic: String, key: String },
    #[error("the event log in `{}` is in use by another process; stop that one or choose another folder", .0.display())]
    Locked(PathBuf),
    #[error("the event log in `{}` cannot be opened; check that the folder exists and may be written", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: StoreError,
    },
    #[error("the event log in `{}` is damaged; restore the folder from a backup or start with an empty one", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        cause: StoreError,
    },
    #[error("the event log holds an entry that cannot be read ({0}); restore the folder from a backup")]
    Unreadable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Kafka does not answer ({0}); what was asked for may have been done, so ask again")]
    Unavailable(String),
    #[error("Kafka refuses: {0}")]
    Engine(String),
    #[error("the writer of the event log has ended; open the bus again")]
    Closed,
}
