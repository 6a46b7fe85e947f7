//! `cargo xtask tidy`: what keeps the house in order and the compiler cannot see. Its checks also run as tests, so nobody has to remember.

mod bench;
mod grow;
mod growth;
mod tidy;

use std::process::ExitCode;

/// How many orders the larger shop of `bench growth` has, unless another number is said.
const MANY: u64 = 1_000_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let measured = match words.as_slice() {
        ["bench"] => Some(bench::run()),
        ["bench", "growth"] => Some(growth::run(MANY)),
        ["bench", "growth", orders] => Some(orders.parse().map_err(|_| format!("{orders} is no number of orders")).and_then(growth::run)),
        _ => None,
    };
    if let Some(measured) = measured {
        return match measured {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                ExitCode::FAILURE
            }
        };
    }
    if words != ["tidy"] {
        report("usage: cargo xtask tidy | bench | bench growth [ORDERS]");
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
