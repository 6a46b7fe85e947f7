//! The real world: threads, files, the machine's clock. What the typed client promises, from the first call to the erasure.

use std::time::Duration;

use customer_api::{CustomerAddress, CustomerInput, Customers, DerivedSegment, Erasure, ErasureStatus, Phone, Segment};
use platform::{
    Settings,
    client::Client,
    settings::DEFAULTS,
    tasks::Tasks,
    telemetry::{context::Contexts, traces::Traces},
    world::World,
};
use types::{Email, Region, ShortText, place::Country};

use crate::stage::Neighbour;

fn short(text: &str) -> ShortText {
    ShortText::new(text).unwrap()
}

fn mai() -> CustomerInput {
    CustomerInput {
        email: Email::new("zq.marker+4711@example.com").unwrap(),
        full_name: short("Zebulon Quagmire"),
        phone: Some(Phone::new("+4930901820417").unwrap()),
        region: Region::Eu,
        locale: None,
        addresses: vec![CustomerAddress {
            label: short("home"),
            line1: short("Xanthippe Boulevard 9173"),
            line2: None,
            city: short("Hamburg"),
            postal_code: short("20095"),
            country: Country::try_from("DE".to_owned()).unwrap(),
        }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typed_client_speaks_to_a_service_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::load(DEFAULTS, None, std::iter::empty()).unwrap();
    let world = World::real(settings, folder.path(), Traces::off()).unwrap();
    let clock = world.clock();
    for (name, neighbour) in [("order", Neighbour::new()), ("cart", Neighbour::new())] {
        world.calls().register(name, 0, neighbour.router(), Tasks::new(name, clock));
    }
    world.start(&customer::MANIFEST, 0).await.unwrap();
    let contexts = Contexts::new(world.chance(), "test", 0);
    let customers = Customers(Client::new(world.calls().clone(), "test", "customer", clock, world.chance(), contexts));

    let made = customers.create(&mai(), "k").await.unwrap();
    assert_eq!(customers.create(&mai(), "k").await.unwrap(), made);
    assert!(customers.create(&mai(), "other").await.unwrap_err().is("email-taken"));
    assert_eq!(customers.get(made.id).await.unwrap(), made);
    assert_eq!(customers.by_email(&mai().email).await.unwrap(), Some(made.clone()));
    assert_eq!(customers.by_email(&Email::new("nobody@example.com").unwrap()).await.unwrap(), None);
    let renamed = CustomerInput { full_name: short("Zebulon"), ..mai() };
    assert_eq!(customers.update(made.id, &renamed, Some(1)).await.unwrap().version, 2);
    assert!(customers.update(made.id, &mai(), Some(1)).await.unwrap_err().is_status(412));
    let vip: Segment = DerivedSegment::Vip.into();
    assert_eq!(customers.assign(made.id, vec![vip.clone()]).await.unwrap().segments, [vip]);
    assert_eq!(customers.recalculate(made.id).await.unwrap().segments, [DerivedSegment::New.into()]);

    let taken = customers.erase(made.id).await.unwrap();
    let completed = async {
        loop {
            let erasure: Erasure = customers.erasure(made.id, taken.job_id).await.unwrap();
            if erasure.status == ErasureStatus::Completed {
                return erasure;
            }
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    let erasure = clock.timeout(Duration::from_secs(20), completed).await.unwrap();
    assert_eq!(erasure.services.len(), 3);
    assert!(customers.get(made.id).await.unwrap_err().is("customer-erased"));
    assert!(world.stop(Duration::from_secs(5)).await);
}
