//! What a token makes happen: one pure function from its text to a plan, so that a test, a scenario and a demo get the provider's
//! behaviour that they ask for, to the microsecond. A token that is not known is a card that is not known.

use std::time::Duration;

use psp_api::PspEventType;
use types::Timestamp;

/// How late the second of two callbacks comes, and how far apart those are that come in the wrong order.
const APART: Duration = Duration::from_secs(1);
/// For how long the callback of an authorization is held back so that the capture's can overtake it.
const HELD_BACK: Duration = Duration::from_secs(60);
/// Slower than this no token is.
const SLOWEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What becomes of the authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Approved,
    Declined(&'static str),
    /// It stays PROCESSING until it is voided.
    Never,
}

/// What the call that asked for it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The outcome, as soon as it is decided.
    Outcome,
    /// PROCESSING, at once.
    Processing,
    /// Nothing: the connection stays silent.
    Silence,
    /// Nothing the first time that the merchant's reference is heard; who asks again, under whatever key, hears the outcome.
    SilenceAtFirst,
}

/// Which callbacks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callbacks {
    /// Of an outcome that was slow.
    OfSlow,
    /// Of the outcome.
    OfOutcome,
    /// Of everything, twice.
    Twice,
    /// Of the authorization and the capture, in the wrong order.
    Disorder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub outcome: Outcome,
    /// From the receipt of the request to its outcome.
    pub after: Duration,
    pub reply: Reply,
    pub callbacks: Callbacks,
    /// While it is open it cannot be voided.
    pub is_firm: bool,
}

impl Plan {
    const PROMPT: Self =
        Self { outcome: Outcome::Approved, after: Duration::ZERO, reply: Reply::Outcome, callbacks: Callbacks::OfSlow, is_firm: false };

    /// The plan of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let declined = |code| Self { outcome: Outcome::Declined(code), ..Self::PROMPT };
        match token {
            "tok_ok" => Self::PROMPT,
            "tok_decline_insufficient" => declined("insufficient_funds"),
            "tok_decline_lost" => declined("lost_card"),
            "tok_timeout" => Self { reply: Reply::Silence, callbacks: Callbacks::OfOutcome, ..Self::PROMPT },
            "tok_lost" => Self { reply: Reply::SilenceAtFirst, callbacks: Callbacks::OfOutcome, ..Self::PROMPT },
            "tok_never" => Self { outcome: Outcome::Never, ..Self::PROMPT },
            "tok_duplicate" => Self { callbacks: Callbacks::Twice, ..Self::PROMPT },
            "tok_disorder" => Self { callbacks: Callbacks::Disorder, ..Self::PROMPT },
            other => {
                let seconds = |prefix| other.strip_prefix(prefix).and_then(seconds);
                if let Some(after) = seconds("tok_slow_") {
                    Self { after, ..Self::PROMPT }
                } else if let Some(after) = seconds("tok_firm_") {
                    Self { after, is_firm: true, ..Self::PROMPT }
                } else if let Some(after) = seconds("tok_late_") {
                    Self { after, reply: Reply::Processing, callbacks: Callbacks::OfOutcome, ..Self::PROMPT }
                } else {
                    declined("invalid_token")
                }
            }
        }
    }

    /// When the callbacks of an event are to be sent; none for most.
    ///
    /// `outcome`: the event is the outcome that the authorizing call waits for (a capture with it included), and not the answer to a call
    /// of its own. `received`: when that call came; `silence`: for how long a silent connection stays open.
    #[must_use]
    pub fn callbacks(&self, kind: PspEventType, outcome: bool, received: Timestamp, now: Timestamp, limits: Limits) -> Vec<Timestamp> {
        match self.callbacks {
            Callbacks::OfSlow if outcome && now.since(received) > limits.slow => vec![now],
            Callbacks::OfOutcome if outcome && matches!(self.reply, Reply::Silence | Reply::SilenceAtFirst) => {
                vec![received.plus(limits.silence)]
            }
            Callbacks::OfOutcome if outcome => vec![now],
            Callbacks::Twice => vec![now, now.plus(APART)],
            Callbacks::Disorder if kind == PspEventType::Authorized => vec![now.plus(HELD_BACK)],
            Callbacks::Disorder if kind == PspEventType::Captured => vec![now.plus(APART)],
            Callbacks::OfSlow | Callbacks::OfOutcome | Callbacks::Disorder => Vec::new(),
        }
    }

    /// Until when the callbacks that are held back come forward, now that this has happened: behind the one that was to overtake them.
    #[must_use]
    pub fn overtaken(&self, kind: PspEventType, now: Timestamp) -> Option<Timestamp> {
        (self.callbacks == Callbacks::Disorder && kind == PspEventType::Captured).then(|| now.plus(APART * 2))
    }
}

/// What the settings say of callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What takes longer is told by a callback too.
    pub slow: Duration,
    /// For how long a silent connection stays open.
    pub silence: Duration,
}

/// Seconds with up to six decimals, without the rounding of a float.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse().ok()?;
    let duration = Duration::from_secs(whole.parse().ok()?).checked_add(Duration::from_micros(micros))?;
    (duration <= SLOWEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { slow: Duration::from_secs(5), silence: Duration::from_secs(55) };
    const START: Timestamp = Timestamp::from_seconds(1_000);

    fn sent(token: &str, kind: PspEventType, outcome: bool, after_seconds: i64) -> Vec<i64> {
        let now = Timestamp::from_seconds(START.seconds() + after_seconds);
        let times = Plan::of(token).callbacks(kind, outcome, START, now, LIMITS);
        times.into_iter().map(|at| at.seconds() - START.seconds()).collect()
    }

    #[test]
    fn a_token_says_what_happens() {
        assert_eq!(Plan::of("tok_ok"), Plan::PROMPT);
        assert_eq!(Plan::of("tok_decline_insufficient").outcome, Outcome::Declined("insufficient_funds"));
        assert_eq!(Plan::of("tok_decline_lost").outcome, Outcome::Declined("lost_card"));
        assert_eq!(Plan::of("tok_never").outcome, Outcome::Never);
        assert_eq!((Plan::of("tok_timeout").reply, Plan::of("tok_lost").reply), (Reply::Silence, Reply::SilenceAtFirst));
        let firm = Plan::of("tok_firm_90");
        assert_eq!((firm.after, firm.reply, firm.is_firm), (Duration::from_secs(90), Reply::Outcome, true));
        let late = Plan::of("tok_late_90");
        assert_eq!((late.reply, late.after), (Reply::Processing, Duration::from_secs(90)));
        for unknown in ["", "tok", "visa", "TOK_OK", "tok_slow_", "tok_slow_-1", "tok_slow_1.", "tok_slow_.5", "tok_slow_1e3", "tok_late_x"]
        {
            assert_eq!(Plan::of(unknown).outcome, Outcome::Declined("invalid_token"), "{unknown}");
        }
    }

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        for (text, micros) in [("2", 2_000_000), ("2.135", 2_135_000), ("0.000001", 1), ("150.123456", 150_123_456), ("0", 0)] {
            assert_eq!(Plan::of(&format!("tok_slow_{text}")).after, Duration::from_micros(micros), "{text}");
        }
        for wrong in ["0.0000001", "604801", "99999999999999999999"] {
            assert_eq!(Plan::of(&format!("tok_slow_{wrong}")).outcome, Outcome::Declined("invalid_token"), "{wrong}");
        }
    }

    #[test]
    fn only_what_the_caller_may_have_missed_is_called_back() {
        use PspEventType::{Authorized, Captured, Refunded};
        assert!(sent("tok_ok", Authorized, true, 0).is_empty());
        assert!(sent("tok_ok", Captured, false, 600).is_empty(), "the call of its own was answered");
        assert!(sent("tok_slow_5", Authorized, true, 5).is_empty());
        assert_eq!(sent("tok_slow_6", Authorized, true, 6), [6]);
        assert_eq!(sent("tok_late_3", Authorized, true, 3), [3]);
        assert!(sent("tok_late_3", Refunded, false, 9).is_empty());
        assert_eq!(sent("tok_timeout", Authorized, true, 0), [55]);
        assert_eq!(sent("tok_duplicate", Refunded, false, 9), [9, 10]);
    }

    #[test]
    fn in_disorder_the_capture_is_told_before_the_authorization() {
        use PspEventType::{Authorized, Captured};
        assert_eq!(sent("tok_disorder", Authorized, true, 0), [60]);
        assert_eq!(sent("tok_disorder", Captured, false, 4), [5]);
        let now = Timestamp::from_seconds(4);
        assert_eq!(Plan::of("tok_disorder").overtaken(Captured, now), Some(Timestamp::from_seconds(6)));
        assert_eq!(Plan::of("tok_ok").overtaken(Captured, now), None);
    }
}
