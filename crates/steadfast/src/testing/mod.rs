//! Tools for tests: of applications (feature `testing`) and of drivers (feature `conformance`).

mod clock;

pub use clock::ManualClock;
