//! Crash images: what a disk may hold after the power went, made by the thousand from a recording of what a store really wrote, and the
//! product's own recovery held to its promise on each of them.
//!
//! One session: a store (SQLite behind [`platform::db::Db`], or the event log behind [`platform::bus::Bus`]) works in a folder while
//! [`interpose`] stands before the C library's file functions and [`recorder`] notes each write, cut, sync and change of a name, in their
//! order, together with what the store acknowledged and when. [`disk`] plays the recording up to any operation and then decides, by seed,
//! what of the unsynced part is there. The image is written out, the store opened on it by the product's own code, and what it holds must
//! be the state after a whole number of steps: none that was acknowledged is missing, none is there by half ([`session`]).
//!
//! # What a crash may do
//! The model is that of ext4 (`data=ordered`) and XFS, and in two points harsher than both.
//! - What was written and then synced (`fsync`, `fdatasync`) through any descriptor of the file is there, and so is its size.
//! - Each page of 4,096 bytes written since then is there as it was after any of its writes, or not at all, whatever happened to other
//!   pages: writes are lost and reordered page by page. A page may be torn: each of its sectors of 512 bytes as it was at one of two moments.
//! - A hole reads as zeros, and a size may be there before the bytes that it covers. Rubbish that was never written to the file is not there.
//! - Cuts of one file (`ftruncate`) are there in their order, up to any one of them. Behind a cut that is lost no later write is there.
//! - Names (create, rename, unlink, mkdir) of one folder are there in their order, up to any one of them, unless the folder was synced.
//!   Harsher than the two file systems: folders do not keep step with each other, and to sync a file does not keep its name.
//! - SQLite's `-shm` is memory that happens to have a name: it is never there.
//!
//! # What is not modelled
//! A disk that acknowledges a sync and has not done it (the tests plant exactly that, and it is found), bits that turn by themselves, and
//! an operation that is cut off inside of the kernel between two pages of one write (the pages are lost one by one anyway).

pub mod disk;
pub mod image;
pub mod interpose;
pub mod recorder;
pub mod session;
pub mod store;
