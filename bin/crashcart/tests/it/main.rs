//! The program as its users have it: processes, files, sockets, exit codes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

mod bad_days;
mod deploy;
mod disk_full;
mod live;
mod make;
mod process;
