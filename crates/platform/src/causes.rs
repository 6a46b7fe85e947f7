//! An error with its causes. A library's own text often says only that something failed; what failed stands in what caused it, and whoever
//! reads the message wants that.

use std::error::Error;

/// The error's text, and behind it that of each cause which is not in it already: `the store cannot be opened: No such file`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn told(texts: &[&'static str]) -> Told {
        let (text, causes) = texts.split_first().unwrap();
        Told { text, source: (!causes.is_empty()).then(|| Box::new(told(causes))) }
    }

    #[test]
    fn every_cause_is_told_once() {
        assert_eq!(with_causes(&told(&["it failed"])), "it failed");
        assert_eq!(with_causes(&told(&["it failed", "the file is gone", "code 2"])), "it failed: the file is gone: code 2");
        assert_eq!(
            with_causes(&told(&["it failed: the file is gone", "the file is gone", "code 2"])),
            "it failed: the file is gone: code 2"
        );
    }
}
