//! `cargo xtask tidy`: what keeps the house in order and the compiler cannot see. Its checks also run as tests, so nobody has to remember.

mod bench;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if command == "bench" {
        return match bench::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                ExitCode::FAILURE
            }
        };
    }
    if command != "tidy" {
        report("usage: cargo xtask tidy | bench");
        return ExitCode::from(2);
    }
    let findings = tidy::all();
    for finding in &findings {
        report(finding);
    }
    ExitCode::from(u8::from(!findings.is_empty()))
}

#[expect(clippy::print_stderr, reason = "a tool that talks to a person")]
fn report(line: &str) {
    eprintln!("{line}");
}
