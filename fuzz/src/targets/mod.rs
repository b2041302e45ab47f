//! The targets. A new one is a file with a `run`, its two lines here, and a folder of seeds with its
//! name in `fuzz/seeds/`: a few valid inputs, from which the engine starts.

mod carried;
mod client_ip;
mod codec;
mod cookie;
mod memcached_replies;
mod php_source;
mod record;
mod sealed;
mod session_file;
mod settings;
mod store_key;
mod token;

/// Something that must hold for every input.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Panics if it does not hold.
    pub(crate) run: fn(&[u8]),
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "carried", run: carried::run },
    Target { name: "client_ip", run: client_ip::run },
    Target { name: "codec", run: codec::run },
    Target { name: "cookie", run: cookie::run },
    Target { name: "memcached_replies", run: memcached_replies::run },
    Target { name: "php_source", run: php_source::run },
    Target { name: "record", run: record::run },
    Target { name: "sealed", run: sealed::run },
    Target { name: "session_file", run: session_file::run },
    Target { name: "settings", run: settings::run },
    Target { name: "store_key", run: store_key::run },
    Target { name: "token", run: token::run },
];
