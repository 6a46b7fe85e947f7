//! What the system promises to whoever writes a client for it: answers that are those of the documents, refusals of everything that is
//! wrong, who may call what, pages that need nothing from elsewhere.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without is a failed test")]

mod access;
mod answers;
mod bad_input;
mod pages;
mod traces;
