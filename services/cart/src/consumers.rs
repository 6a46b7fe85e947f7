//! What cart-service listens to.

use order_api::events::OrderCreated;
use platform::{
    db::Tx,
    event::{Consumer, Event, Received, taking},
    schema::SchemaError,
    service::Env,
};

use crate::store;

pub const TOPICS: &[&str] = &[OrderCreated::TOPIC];

pub fn all(env: &Env) -> Result<Vec<Consumer>, SchemaError> {
    Ok(vec![
        // From here on the order knows the address and the card: the cart forgets them, whichever way the order came about.
        taking::<OrderCreated>(env, async move |tx: &mut Tx<'_>, received: &Received<OrderCreated>| {
            Ok(store::note_order(tx, received.event.cart_id, received.event.order_id).await?)
        })?,
    ])
}
