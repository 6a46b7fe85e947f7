//! What inventory-service listens to. The note that an event was taken is kept with its effect, by the store.

use order_api::{OrderStatus, events::OrderStatusChanged};
use payment_api::events::PaymentAuthorized;
use platform::{
    consumer::HandlerError,
    event::{Consumer, Event, direct},
    schema::SchemaError,
    service::Env,
};

use crate::{app::App, error::InventoryError, store::StoreError};

pub const TOPICS: &[&str] = &[OrderStatusChanged::TOPIC, PaymentAuthorized::TOPIC];

pub fn all(env: &Env, app: &App) -> Result<Vec<Consumer>, SchemaError> {
    let (orders, payments) = (app.clone(), app.clone());
    Ok(vec![
        direct::<OrderStatusChanged>(env, move |received| {
            let app = orders.clone();
            Box::pin(async move {
                let note = App::note(OrderStatusChanged::TOPIC, received.id, &received.key);
                let order = received.event.order_id;
                let heard = match received.event.status {
                    OrderStatus::Cancelled => app.order_cancelled(order, note).await,
                    OrderStatus::Shipped => app.order_shipped(order, note).await,
                    _ => app.only_note(note).await,
                };
                heard.map_err(not_taken)
            })
        })?,
        direct::<PaymentAuthorized>(env, move |received| {
            let app = payments.clone();
            Box::pin(async move {
                let note = App::note(PaymentAuthorized::TOPIC, received.id, &received.key);
                app.order_paid(received.event.order_id, note).await.map_err(not_taken)
            })
        })?,
    ])
}

/// Every refusal may be one of the moment (the stock was changed at the same time): it is tried again before it is set aside.
fn not_taken(error: InventoryError) -> HandlerError {
    match error {
        InventoryError::Store(StoreError::Db(error)) => error.into(),
        InventoryError::Store(error @ StoreError::Unknown(_)) => HandlerError::Unavailable(error.to_string()),
        other => HandlerError::Retry(other.to_string()),
    }
}
