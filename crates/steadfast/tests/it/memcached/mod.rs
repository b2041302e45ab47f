//! The `memcached` driver on real servers.

mod conformance;
