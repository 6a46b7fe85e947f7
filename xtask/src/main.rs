//! `cargo xtask tidy`: what keeps the house in order and the compiler cannot see. Its checks also run as tests, so nobody has to remember.
//! Beside it what a person or the pipeline does with the whole of it: `bench` measures it, `engines` starts what it may stand on.

mod bench;
mod engines;
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
    if command == "engines" {
        return engines::run(&std::env::args().skip(2).collect::<Vec<_>>());
    }
    if command != "tidy" {
        report("usage: cargo xtask tidy | bench | engines up|down|status");
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
