//! The provider through its doors; the merchant is a scripted neighbour that notes the callbacks it gets.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without is a failed test")]

mod support;

mod callbacks;
mod operations;
mod tokens;
