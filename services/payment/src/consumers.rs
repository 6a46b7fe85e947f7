//! What payment-service listens to.

use order_api::events::OrderCreditGranted;
use platform::{
    consumer::HandlerError,
    event::{Consumer, Event, direct},
    schema::SchemaError,
    service::Env,
};

use crate::{app::App, error::PaymentError};

pub const TOPICS: &[&str] = &[OrderCreditGranted::TOPIC];

pub fn all(env: &Env, app: &App) -> Result<Vec<Consumer>, SchemaError> {
    let app = app.clone();
    Ok(vec![
        // The PSP is called, which no transaction of ours can take back; so it is the refund that knows whether it was made for this credit.
        direct::<OrderCreditGranted>(env, move |received| {
            let app = app.clone();
            Box::pin(async move {
                app.credit(&received.event).await.map_err(|error| match error {
                    PaymentError::Store(error) => error.into(),
                    PaymentError::RefundRefused(_) | PaymentError::TooManyRefunds(_) => HandlerError::Poison(error.to_string()),
                    other => HandlerError::Retry(other.to_string()),
                })
            })
        })?,
    ])
}
