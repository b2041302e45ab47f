//! The targets. A new one is a file with a `run`, its two lines here, and a folder of seeds with its
//! name in `fuzz/seeds/`: a few valid inputs, from which the engine starts.

mod store_key;

/// Something that must hold for every input.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Panics if it does not hold.
    pub(crate) run: fn(&[u8]),
}

pub(crate) const TARGETS: &[Target] = &[Target { name: "store_key", run: store_key::run }];
