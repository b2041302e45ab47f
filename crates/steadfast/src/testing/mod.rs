//! Tools for tests: of applications (feature `testing`) and of drivers (feature `conformance`).

mod clock;
#[cfg(feature = "testing")]
mod faults;
#[cfg(feature = "testing")]
mod faulty;

pub use clock::ManualClock;
#[cfg(feature = "testing")]
pub use faults::{Fault, Faults, Gate, Op};
#[cfg(feature = "testing")]
pub use faulty::FaultyStore;
