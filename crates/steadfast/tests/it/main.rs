//! The integration tests of the library, in one binary.

mod faulty;
mod life;
mod memory;
mod site;
mod tools;
