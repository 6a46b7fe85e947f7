//! `cargo xtask tidy`: what keeps the house in order and the compiler cannot see. Its checks also run as tests, so nobody has to remember.
//! Beside it what a person or the pipeline does with the whole of it: `bench` measures it, `coverage` counts what its tests run, `engines` starts what it may stand on.

mod bench;
mod bench_engines;
mod coverage;
mod engines;
mod grow;
mod growth;
mod system;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | coverage | bench | bench growth [ORDERS] | bench engines | engines up|down|status|crash";
/// How many orders the larger shop of `bench growth` has, unless another number is said.
const MANY: u64 = 1_000_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidied(),
        ["coverage"] => ended(coverage::run()),
        ["bench"] => ended(bench::run()),
        ["bench", "engines"] => ended(bench_engines::run()),
        ["bench", "growth"] => ended(growth::run(MANY)),
        ["bench", "growth", orders] => ended(orders.parse().map_err(|_| format!("{orders} is no number of orders")).and_then(growth::run)),
        ["engines", ..] => engines::run(&words[1..]),
        _ => {
            report(USAGE);
            ExitCode::from(2)
        }
    }
}

fn tidied() -> ExitCode {
    let findings = tidy::all();
    for finding in &findings {
        report(finding);
    }
    ExitCode::from(u8::from(!findings.is_empty()))
}

fn ended(measured: Result<(), String>) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a tool that talks to a person")]
fn report(line: &str) {
    eprintln!("{line}");
}
