//! What a scenario lets people turn: typed, bounded, documented, with a default. `--set knob=value` is read here, and a slip of the pen is one
//! sentence that says what would have been right.

use std::fmt;

use serde_json::{Map, Value as Json, json};

/// The kind of a knob's value, with its default and its bounds (both included).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Whole { default: i64, min: i64, max: i64 },
    Real { default: f64, min: f64, max: f64 },
}

/// One knob of a scenario. The name carries the unit: `ttl_seconds`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knob {
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub kind: Kind,
}

impl Knob {
    #[must_use]
    pub const fn whole(name: &'static str, default: i64, min: i64, max: i64, summary: &'static str) -> Self {
        Self { name, summary, kind: Kind::Whole { default, min, max } }
    }

    #[must_use]
    pub const fn real(name: &'static str, default: f64, min: f64, max: f64, summary: &'static str) -> Self {
        Self { name, summary, kind: Kind::Real { default, min, max } }
    }

    /// `1 to 100000, 100 when not set`.
    #[must_use]
    pub fn range(&self) -> String {
        match self.kind {
            Kind::Whole { default, min, max } => format!("{min} to {max}, {default} when not set"),
            Kind::Real { default, min, max } => format!("{min} to {max}, {default} when not set"),
        }
    }

    /// What it is when nobody sets it, as text.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.default().to_string()
    }

    const fn default(&self) -> Value {
        match self.kind {
            Kind::Whole { default, .. } => Value::Whole(default),
            Kind::Real { default, .. } => Value::Real(default),
        }
    }

    fn read(&self, text: &str) -> Result<Value, KnobError> {
        let outside = || KnobError::Outside { name: self.name, value: text.to_owned(), range: self.range() };
        match self.kind {
            Kind::Whole { min, max, .. } => {
                let value: i64 = text.parse().map_err(|_| KnobError::NotWhole { name: self.name, value: text.to_owned() })?;
                if (min..=max).contains(&value) { Ok(Value::Whole(value)) } else { Err(outside()) }
            }
            Kind::Real { min, max, .. } => {
                let value: f64 = text.parse().map_err(|_| KnobError::NotANumber { name: self.name, value: text.to_owned() })?;
                // A NaN is in no range.
                if (min..=max).contains(&value) { Ok(Value::Real(value)) } else { Err(outside()) }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Whole(i64),
    Real(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnobError {
    #[error("`{0}` sets nothing; write it as knob=value, such as {1}")]
    Shape(String, String),
    #[error("there is no knob `{name}`; there are {known}")]
    Unknown { name: String, known: String },
    #[error("`{name}` takes a whole number, not `{value}`")]
    NotWhole { name: &'static str, value: String },
    #[error("`{name}` takes a number, not `{value}`")]
    NotANumber { name: &'static str, value: String },
    #[error("`{name}` cannot be {value}: it goes from {range}")]
    Outside { name: &'static str, value: String, range: String },
    /// Each value is in its range, but they do not go together.
    #[error("{0}")]
    Together(String),
}

/// The knobs of a scenario, as they are set.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs(Vec<(&'static Knob, Value)>);

impl Knobs {
    #[must_use]
    pub fn of(knobs: &'static [Knob]) -> Self {
        Self(knobs.iter().map(|knob| (knob, knob.default())).collect())
    }

    /// The knobs with each `knob=value` of the command line applied.
    pub fn parse<'a>(knobs: &'static [Knob], given: impl IntoIterator<Item = &'a str>) -> Result<Self, KnobError> {
        let mut all = Self::of(knobs);
        for text in given {
            all.set(text)?;
        }
        Ok(all)
    }

    /// Applies one `knob=value`.
    pub fn set(&mut self, text: &str) -> Result<(), KnobError> {
        let example = || self.0.first().map_or_else(String::new, |(knob, value)| format!("{}={value}", knob.name));
        let (name, value) = text.split_once('=').ok_or_else(|| KnobError::Shape(text.to_owned(), example()))?;
        let (name, value) = (name.trim(), value.trim());
        let known = || self.0.iter().map(|(knob, _)| knob.name).collect::<Vec<_>>().join(", ");
        let Some(index) = self.0.iter().position(|(knob, _)| knob.name == name) else {
            return Err(KnobError::Unknown { name: name.to_owned(), known: known() });
        };
        if let Some(slot) = self.0.get_mut(index) {
            slot.1 = slot.0.read(value)?;
        }
        Ok(())
    }

    /// The value of a knob; zero for one that is not the scenario's.
    #[must_use]
    pub fn real(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Whole(value)) => value as f64,
            Some(Value::Real(value)) => value,
            None => 0.0,
        }
    }

    /// The value of a whole knob; zero for one that is not the scenario's.
    #[must_use]
    pub fn whole(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Whole(value)) => value,
            Some(Value::Real(value)) => value as i64,
            None => 0,
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(knob, _)| knob.name == name).map(|(_, value)| *value)
    }

    #[must_use]
    pub fn json(&self) -> Json {
        let of = |value: &Value| match value {
            Value::Whole(value) => json!(value),
            Value::Real(value) => json!(value),
        };
        Json::Object(self.0.iter().map(|(knob, value)| (knob.name.to_owned(), of(value))).collect::<Map<_, _>>())
    }

    /// `knob=value` of those that differ from their default: what a replay needs.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        self.0.iter().filter(|(knob, value)| *value != knob.default()).map(|(knob, value)| format!("{}={value}", knob.name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOBS: &[Knob] = &[Knob::whole("stock", 100, 1, 1000, "Units."), Knob::real("share", 0.2, 0.0, 1.0, "Of all.")];

    #[test]
    fn a_knob_is_set_by_name_and_what_changed_can_be_said_again() {
        let knobs = Knobs::parse(KNOBS, ["stock=7", " share = 0.5"]).unwrap();
        assert_eq!((knobs.whole("stock"), knobs.real("share"), knobs.real("stock")), (7, 0.5, 7.0));
        assert_eq!(knobs.changed(), ["stock=7", "share=0.5"]);
        assert_eq!(Knobs::parse(KNOBS, knobs.changed().iter().map(String::as_str)).unwrap(), knobs);
        assert!(Knobs::of(KNOBS).changed().is_empty());
        assert_eq!(knobs.json(), json!({"stock": 7, "share": 0.5}));
    }

    #[test]
    fn a_mistake_names_itself_and_the_mend() {
        let told = |text: &str| Knobs::parse(KNOBS, [text]).unwrap_err().to_string();
        assert_eq!(told("stock"), "`stock` sets nothing; write it as knob=value, such as stock=100");
        assert_eq!(told("stok=3"), "there is no knob `stok`; there are stock, share");
        assert_eq!(told("stock=3.5"), "`stock` takes a whole number, not `3.5`");
        assert_eq!(told("share=half"), "`share` takes a number, not `half`");
        assert_eq!(told("stock=0"), "`stock` cannot be 0: it goes from 1 to 1000, 100 when not set");
        assert!(told("share=NaN").contains("cannot be NaN"));
    }
}
