//! What customer-service listens to: its own changes. The writer of a change rules older snapshots out itself, at once; this is the echo
//! that does it for a writer that died in between.

use customer_api::events::{CustomerSegmentRecalculated, CustomerUpdated};
use platform::{
    event::{Consumer, Event, direct},
    schema::SchemaError,
    service::Env,
};

use crate::app::App;

pub const TOPICS: &[&str] = &[CustomerUpdated::TOPIC, CustomerSegmentRecalculated::TOPIC];

pub fn all(env: &Env, app: &App) -> Result<Vec<Consumer>, SchemaError> {
    macro_rules! changed {
        ($event:ty) => {{
            let snapshots = app.snapshots.clone();
            direct::<$event>(env, move |received| {
                let snapshots = snapshots.clone();
                Box::pin(async move {
                    snapshots.rule_out(received.event.customer_id, received.event.version).await;
                    Ok(())
                })
            })?
        }};
    }
    Ok(vec![changed!(CustomerUpdated), changed!(CustomerSegmentRecalculated)])
}
