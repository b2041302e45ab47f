//! The integration tests of the library, in one binary.

mod browser;
mod faulty;
mod life;
mod memory;
