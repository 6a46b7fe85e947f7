//! What payment-service announces. All are keyed by the payment, so one payment's events come in order on each topic.
#![expect(clippy::disallowed_types, reason = "the derive of AvroSchema names HashSet in a signature; nobody looks at its order")]

use apache_avro::AvroSchema;
use platform::event::Event;
use serde::{Deserialize, Serialize};
use types::{Money, OrderId, PaymentId, Timestamp};

macro_rules! payment_event {
    ($(#[$doc:meta])* $name:ident, $topic:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
        #[avro(namespace = "crashcart.payment")]
        pub struct $name {
            pub payment_id: PaymentId,
            pub order_id: OrderId,
            pub amount: Money,
            /// The payment's version after this step; they grow by one.
            pub version: i64,
            /// For a failure its code, for a void or a refund what was given as the reason.
            pub reason: Option<String>,
            /// What has gone back of it in all by now; unknown to who told it before there was this.
            pub refunded: Option<Money>,
            /// What we have of it: captured less refunded; unknown likewise.
            pub kept: Option<Money>,
            pub at: Timestamp,
        }
        impl Event for $name {
            const TOPIC: &'static str = $topic;
            fn key(&self) -> String {
                self.payment_id.to_string()
            }
        }
    };
}

payment_event!(
    /// The PSP holds the amount for us.
    PaymentAuthorized, "payment.authorized.v1"
);
payment_event!(
    /// The amount is ours.
    PaymentCaptured, "payment.captured.v1"
);
payment_event!(
    /// The PSP said no.
    PaymentFailed, "payment.failed.v1"
);
payment_event!(
    /// The authorization was given back before it was captured.
    PaymentVoided, "payment.voided.v1"
);
payment_event!(
    /// The amount, or a part of it, went back after it was captured.
    PaymentRefunded, "payment.refunded.v1"
);
