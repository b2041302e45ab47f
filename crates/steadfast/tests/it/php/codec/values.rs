//! Values of Rust, written for PHP, read by PHP, and read again.
