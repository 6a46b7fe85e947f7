//! The endpoints: parse, call the application, show.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::HeaderMap,
};
use payment_api::{CreatePayment, Payment, RefundRequest};
use platform::{
    auth::Caller,
    http::{Answer, Command, Page, Path, Query},
    problem::{Problem, kinds},
};
use serde::Deserialize;
use types::{OrderId, PaymentId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    callback::{Callback, CallbackTaken, Reader},
    error::PaymentError,
};

pub fn router(app: App, reader: Reader) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, of_order))
        .routes(routes!(get))
        .routes(routes!(confirm))
        .routes(routes!(capture))
        .routes(routes!(void))
        .routes(routes!(refund))
        .routes(routes!(callback))
        .with_state(Rooms { app, reader })
}

#[derive(Clone, Debug)]
struct Rooms {
    app: App,
    reader: Reader,
}

/// Nothing is asked but the step itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Make the payment of an order
///
/// There is one payment for each order. Another one with other content is refused; the same again gives the same.
#[utoipa::path(
    post, path = "/payments", tag = "payments",
    params(("Idempotency-Key" = String, Header, description = "Required; a new one for each new payment")),
    request_body = CreatePayment,
    responses(
        (status = 201, description = "The payment", body = Payment),
        (status = 200, description = "The payment that was there already", body = Payment),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(rooms): State<Rooms>, command: Command<CreatePayment>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(rooms.app.create(command.body, key).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfOrder {
    /// Whose payment.
    order_id: OrderId,
}

/// An order's payment: a list of one, or of none
///
/// To a customer whose order it is not, of none.
#[utoipa::path(
    get, path = "/payments", tag = "payments", params(OfOrder),
    responses(
        (status = 200, description = "The payments of the order", body = Page<Payment>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn of_order(State(rooms): State<Rooms>, caller: Caller, Query(query): Query<OfOrder>) -> Result<Answer, Problem> {
    let found = rooms.app.of_order(query.order_id).await?.filter(|payment| caller.owns(payment.customer_id));
    Answer::ok(&Page { items: found.into_iter().collect(), next_cursor: None })
}

/// One payment, with its refunds
#[utoipa::path(
    get, path = "/payments/{id}", tag = "payments", params(("id" = PaymentId, Path, description = "The payment's id")),
    responses(
        (status = 200, description = "The payment", body = Payment),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(State(rooms): State<Rooms>, caller: Caller, Path(id): Path<PaymentId>) -> Result<Answer, Problem> {
    let (payment, revision) = rooms.app.get(id).await?;
    caller.must_own(payment.customer_id, || PaymentError::Unknown(id))?;
    Ok(Answer::ok(&payment)?.version(revision))
}

/// Have a payment authorized
///
/// 200 with the outcome (`AUTHORIZED`, or `FAILED` with its `failureCode`), or 202 while the provider has not said; then an event tells.
#[utoipa::path(
    post, path = "/payments/{id}/confirm", tag = "payments",
    params(("id" = PaymentId, Path, description = "The payment's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Nothing,
    responses(
        (status = 200, description = "The payment, with the outcome", body = Payment),
        (status = 202, description = "The payment, without an outcome yet", body = Payment),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn confirm(State(rooms): State<Rooms>, Path(id): Path<PaymentId>, command: Command<Nothing>) -> Result<Answer, Problem> {
    Ok(rooms.app.confirm(id, command.key).await?)
}

/// Take the authorized amount
#[utoipa::path(
    post, path = "/payments/{id}/capture", tag = "payments",
    params(("id" = PaymentId, Path, description = "The payment's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Nothing,
    responses(
        (status = 200, description = "The payment", body = Payment),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered; say it again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn capture(State(rooms): State<Rooms>, Path(id): Path<PaymentId>, command: Command<Nothing>) -> Result<Answer, Problem> {
    Ok(rooms.app.capture(id, command.key).await?)
}

/// Give the authorization back, or keep one that is under way from ever taking effect
///
/// 200 when the provider has confirmed it, 202 while it cannot; then an event tells. 409 once the amount was captured: then it can be refunded.
#[utoipa::path(
    post, path = "/payments/{id}/void", tag = "payments",
    params(("id" = PaymentId, Path, description = "The payment's id"), ("Idempotency-Key" = Option<String>, Header, description = "The same key is answered the same")),
    request_body = Nothing,
    responses(
        (status = 200, description = "The payment", body = Payment),
        (status = 202, description = "The payment, which cannot be voided yet", body = Payment),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered; say it again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn void(State(rooms): State<Rooms>, Path(id): Path<PaymentId>, command: Command<Nothing>) -> Result<Answer, Problem> {
    Ok(rooms.app.void(id, command.key).await?)
}

/// Give back what was captured, or a part of it
///
/// More than what is left is 422; a refund that is pending counts. 202 while one is pending.
#[utoipa::path(
    post, path = "/payments/{id}/refund", tag = "payments",
    params(("id" = PaymentId, Path, description = "The payment's id"), ("Idempotency-Key" = String, Header, description = "Required; a new one for each new refund")),
    request_body = RefundRequest,
    responses(
        (status = 200, description = "The payment, with its refunds", body = Payment),
        (status = 202, description = "The payment, with a refund that is pending", body = Payment),
        (status = "4XX", description = "Refused; no money has moved", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered; say it again with the same key", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn refund(State(rooms): State<Rooms>, Path(id): Path<PaymentId>, command: Command<RefundRequest>) -> Result<Answer, Problem> {
    let key = command.required_key()?;
    Ok(rooms.app.refund(id, command.body, key).await?)
}

/// Hear from the payment provider
///
/// Signed (`PSP-Signature: t=UNIX,v1=HEX`, HMAC-SHA256 of `t.body`, five minutes' window). An event that was taken before changes nothing.
#[utoipa::path(
    post, path = "/payments/psp/callback", tag = "payments",
    params(("PSP-Signature" = String, Header, description = "t=UNIX,v1=HEX")),
    request_body = Callback,
    responses(
        (status = 200, description = "It was taken, now or before", body = CallbackTaken),
        (status = "4XX", description = "Refused; nothing has happened", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not answered; tell it again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn callback(State(rooms): State<Rooms>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Answer, Problem> {
    // The signature is over the bytes, so they are read before anything is made of them.
    let body = body.map_err(|_| Problem::new(&kinds::TOO_LARGE).detail("The body is larger than this service takes."))?;
    let signature = headers.get(psp_api::SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let callback = rooms.reader.read(signature, &body)?;
    Answer::ok(&rooms.app.called_back(&callback).await?)
}
