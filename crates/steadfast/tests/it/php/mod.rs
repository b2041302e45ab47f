//! What is shared with PHP, held against PHP itself.

#[cfg(feature = "fuzzing")]
mod codec;
