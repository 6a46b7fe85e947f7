use engine_tests::{kafka_settings, no_faults};
use platform::{bus::Bus, testing::bus::Bench};

async fn fresh() -> Bench {
    let faults = no_faults();
    let bus = Bus::on_kafka(&kafka_settings(), faults.clone()).unwrap();
    Bench { bus, faults, keep: Box::new(()) }
}

platform::bus_suite!(
    #[tokio::test(flavor = "multi_thread")]
    fresh
);
