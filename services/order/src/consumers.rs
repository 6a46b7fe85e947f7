//! What order-service listens to.

use cart_api::events::CartCheckedOut;
use payment_api::{
    PaymentStatus,
    events::{PaymentAuthorized, PaymentCaptured, PaymentFailed, PaymentRefunded, PaymentVoided},
};
use platform::{
    client::CallError,
    consumer::{Asking, HandlerError},
    db::Tx,
    event::{Consumer, Event, Received, direct, pass_over, taking},
    schema::SchemaError,
    service::{Env, Live},
};
use types::OrderId;

use crate::{app::App, config::Config, domain::Heard, error::OrderError, store};

pub const TOPICS: &[&str] = &[
    CartCheckedOut::TOPIC,
    PaymentAuthorized::TOPIC,
    PaymentCaptured::TOPIC,
    PaymentFailed::TOPIC,
    PaymentVoided::TOPIC,
    PaymentRefunded::TOPIC,
];

pub fn all(env: &Env, app: &App, config: &Live<Config>) -> Result<Vec<Consumer>, SchemaError> {
    let config = config.clone();
    let dead_letters = Asking::new(move || config.get().dead_letters);
    Ok(listening(env, app)?.into_iter().map(|consumer| consumer.with_dead_letters(dead_letters.clone())).collect())
}

fn listening(env: &Env, app: &App) -> Result<Vec<Consumer>, SchemaError> {
    macro_rules! payment {
        ($event:ty, $status:expr) => {{
            let app = app.clone();
            taking::<$event>(env, async move |tx: &mut Tx<'_>, received: &Received<$event>| {
                let event = &received.event;
                let refunded = event.refunded.map_or(0, |money| money.amount);
                let heard = Heard { payment: event.payment_id, status: ($status)(event), refunded, version: event.version };
                if !payment_changed(&app, tx, event.order_id, heard).await? {
                    pass_over(tx, "order", received).await?;
                }
                Ok(())
            })?
        }};
    }
    let echo = app.clone();
    Ok(vec![
        // The echo of a checkout: it repairs a call that was lost between the cart and us.
        direct::<CartCheckedOut>(env, move |received| {
            let app = echo.clone();
            Box::pin(async move {
                app.create_for_cart(received.event.cart_id).await.map_err(|error| match error {
                    OrderError::UnknownCart(_) | OrderError::CartUnfit(_) | OrderError::CartRefused(_) => {
                        HandlerError::Poison(error.to_string())
                    }
                    OrderError::Store(error) => error.into(),
                    OrderError::Call(error @ CallError::Unavailable { .. }) => HandlerError::Unavailable(error.to_string()),
                    other => HandlerError::Retry(other.to_string()),
                })
            })
        })?,
        payment!(PaymentAuthorized, |_| PaymentStatus::Authorized),
        payment!(PaymentCaptured, |_| PaymentStatus::Captured),
        payment!(PaymentFailed, |_| PaymentStatus::Failed),
        payment!(PaymentVoided, |_| PaymentStatus::Voided),
        payment!(PaymentRefunded, after_refund),
    ])
}

/// Who told it before events said what is kept gave everything back.
fn after_refund(event: &PaymentRefunded) -> PaymentStatus {
    match event.kept {
        Some(kept) if kept.amount > 0 => PaymentStatus::PartiallyRefunded,
        _ => PaymentStatus::Refunded,
    }
}

/// Notes what is heard of a payment and wakes the saga that waits for it; says whether it was news.
async fn payment_changed(app: &App, tx: &mut Tx<'_>, order: OrderId, heard: Heard) -> Result<bool, HandlerError> {
    let is_news = store::note_payment(tx, order, &heard, app.hears_only_news()).await?;
    app.sagas.wake(tx, order.uuid()).await?;
    Ok(is_news)
}
