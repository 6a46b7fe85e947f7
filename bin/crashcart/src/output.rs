//! What a command shows: the result on stdout, as text for a person or JSON for a program; progress and errors on stderr.

use std::{io::IsTerminal, process::ExitCode};

use serde::Serialize;

/// Did what was asked.
pub const OK: u8 = 0;
/// It ran, and the answer is no: an expectation that did not hold, an invariant that is broken, a system that is not there.
pub const FAILED: u8 = 1;
/// The command or the settings are wrong; nothing was done.
pub const USAGE: u8 = 2;

/// Why a command ends without its result: one sentence that names the mistake and the mend.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }
}

pub type Outcome = Result<u8, Failure>;

/// Prints a failure and turns everything into an exit code.
pub fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            anstream::eprintln!("crashcart: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// A value as one line of JSON on stdout.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => anstream::println!("{text}"),
        Err(error) => anstream::eprintln!("crashcart: the result cannot be written as JSON: {error}"),
    }
}

/// A bar on stderr, only on a terminal.
pub fn bar(length: u64, what: &str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template(" {msg:24} {bar:40} {pos}/{len}  {elapsed_precise}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
    indicatif::ProgressBar::new(length).with_style(style).with_message(what.to_owned())
}

/// Something that turns on stderr, with the time that has passed, for work whose length nobody knows; only on a terminal.
pub fn spinner(what: &str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template(" {spinner} {msg}  {elapsed}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner());
    let spinner = indicatif::ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

/// A report's lines, with colour on a terminal.
pub fn lines(lines: &[lab::report::Line]) {
    use lab::report::Tone;
    use owo_colors::OwoColorize;
    for line in lines {
        let text: String = line
            .0
            .iter()
            .map(|span| match span.tone {
                Tone::Plain => span.text.clone(),
                Tone::Strong => span.text.bold().to_string(),
                Tone::Dim => span.text.dimmed().to_string(),
                Tone::Good => span.text.green().to_string(),
                Tone::Bad => span.text.red().to_string(),
                Tone::Mixed => span.text.yellow().to_string(),
            })
            .collect();
        // anstream takes the colours out again where nobody sees them.
        anstream::println!("{}", text.trim_end());
    }
}
