//! The `files` driver: the conformance suite, and what only processes and file systems can show.

mod conformance;
mod crash;
mod directory;
mod fixture;
mod processes;
