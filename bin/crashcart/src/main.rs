//! The command line. Everything it does stands in the library beside it, where tests reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    crashcart::cli::run()
}
