//! What every limiter keeps to, wherever its buckets are: run over each floor by `limiter_suite!`. `fresh` makes one of nothing but full
//! buckets, with its clock.

#![expect(clippy::unwrap_used, reason = "a suite ends at what it does not expect")]

use std::time::Duration;

use crate::{
    clock::Clock,
    limiter::{Bucket, Limiter, LimiterError, Taken},
};

/// A test for each of the suite's promises: `limiter_suite!(#[tokio::test] fresh)`.
#[macro_export]
macro_rules! limiter_suite {
    (#[$test:meta] $fresh:path) => {
        $crate::port_suite!(
            #[$test] limiter $fresh:
            a_burst_passes_up_to_the_capacity_and_is_told_when_to_return,
            all_or_none_is_taken_and_nothing_at_all_reads_the_level,
            what_can_never_pass_is_a_mistake_and_not_a_wait
        );
    };
}

pub async fn a_burst_passes_up_to_the_capacity_and_is_told_when_to_return(fresh: impl AsyncFn(Bucket) -> (Limiter, Clock)) {
    let (limiter, clock) = fresh(Bucket::new(3, 2).unwrap()).await;
    for remaining in [2, 1, 0] {
        assert_eq!(limiter.take("a", 1).await.unwrap(), Taken { allowed: true, remaining, retry_after: Duration::ZERO });
    }
    let refused = Taken { allowed: false, remaining: 0, retry_after: Duration::from_millis(500) };
    assert_eq!(limiter.take("a", 1).await.unwrap(), refused);
    assert!(limiter.take("b", 3).await.unwrap().allowed, "another key has its own bucket");
    clock.sleep(Duration::from_micros(499_999)).await;
    assert_eq!(limiter.take("a", 1).await.unwrap().retry_after, Duration::from_micros(1));
    clock.sleep(Duration::from_micros(1)).await;
    assert!(limiter.clone().take("a", 1).await.unwrap().allowed, "clones share the buckets");
    assert!(!limiter.take("a", 1).await.unwrap().allowed);
}

pub async fn all_or_none_is_taken_and_nothing_at_all_reads_the_level(fresh: impl AsyncFn(Bucket) -> (Limiter, Clock)) {
    let (limiter, _) = fresh(Bucket::new(5, 1).unwrap()).await;
    assert!(limiter.take("a", 3).await.unwrap().allowed);
    assert_eq!(limiter.take("a", 3).await.unwrap(), Taken { allowed: false, remaining: 2, retry_after: Duration::from_secs(1) });
    assert_eq!(limiter.take("a", 0).await.unwrap(), Taken { allowed: true, remaining: 2, retry_after: Duration::ZERO });
    assert!(limiter.take("a", 2).await.unwrap().allowed);
}

pub async fn what_can_never_pass_is_a_mistake_and_not_a_wait(fresh: impl AsyncFn(Bucket) -> (Limiter, Clock)) {
    assert!(matches!(
        fresh(Bucket::new(5, 1).unwrap()).await.0.take("a", 6).await,
        Err(LimiterError::NeverFits { tokens: 6, capacity: 5 })
    ));
    assert!(matches!(Bucket::new(0, 1), Err(LimiterError::Zero)));
    assert!(matches!(Bucket::new(1, 0), Err(LimiterError::Zero)));
    assert!(serde_json::from_str::<Bucket>(r#"{"capacity": 0, "refill_per_second": 1}"#).is_err());
}
