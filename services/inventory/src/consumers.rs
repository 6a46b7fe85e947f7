//! What inventory-service listens to. The note that an event was taken is kept with its effect, by the store.

use futures::future::BoxFuture;
use order_api::{OrderStatus, events::OrderStatusChanged};
use payment_api::events::PaymentAuthorized;
use platform::{
    consumer::HandlerError,
    event::{Consumer, Event, Received, direct_or_noted},
    schema::SchemaError,
    service::Env,
};

use crate::{
    app::App,
    error::InventoryError,
    store::{Once, StoreError},
};

pub const TOPICS: &[&str] = &[OrderStatusChanged::TOPIC, PaymentAuthorized::TOPIC];

pub fn all(env: &Env, app: &App) -> Result<Vec<Consumer>, SchemaError> {
    let (orders, payments, asked) = (app.clone(), app.clone(), app.clone());
    Ok(vec![
        direct_or_noted::<OrderStatusChanged>(
            env,
            |event| !matches!(event.status, OrderStatus::Cancelled | OrderStatus::Shipped),
            noting(app),
            move |received| {
                let app = orders.clone();
                Box::pin(async move {
                    let (order, note) = (received.event.order_id, note_of(&received));
                    let heard = match received.event.status {
                        OrderStatus::Shipped => app.order_shipped(order, note).await,
                        _ => app.order_cancelled(order, note).await,
                    };
                    heard.map_err(not_taken)
                })
            },
        )?,
        direct_or_noted::<PaymentAuthorized>(
            env,
            move |_| !asked.claims_what_is_paid(),
            noting(app),
            move |received| {
                let app = payments.clone();
                Box::pin(async move { app.order_paid(received.event.order_id, note_of(&received)).await.map_err(not_taken) })
            },
        )?,
    ])
}

/// How the store names the note that an event was taken.
fn note_of<E: Event>(received: &Received<E>) -> Once {
    Once::Event { topic: E::TOPIC, id: received.id, key: received.key.clone() }
}

fn noting<E: Event>(app: &App) -> impl Fn(Vec<Received<E>>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync + 'static {
    let app = app.clone();
    move |received| {
        let (app, notes) = (app.clone(), received.iter().map(note_of).collect());
        Box::pin(async move { app.only_note(notes).await.map_err(not_taken) })
    }
}

/// Every refusal may be one of the moment (the stock was changed at the same time): it is tried again before it is set aside.
fn not_taken(error: InventoryError) -> HandlerError {
    match error {
        InventoryError::Store(StoreError::Db(error)) => error.into(),
        InventoryError::Store(error @ StoreError::Unknown(_)) => HandlerError::Unavailable(error.to_string()),
        other => HandlerError::Retry(other.to_string()),
    }
}
