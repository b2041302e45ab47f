//! Free ports.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// Ports to choose from. They lie below those that the kernel gives to outgoing connections, so that none
/// of these takes the port of a server that is being restarted.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// What this process has chosen already.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Returns a loopback port that nobody listens on and that this process was not given before.
///
/// # Panics
///
/// If there is none left.
#[must_use]
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().expect("nobody panics with the ports");
    // At random, as other processes choose at the same time.
    let begin = RandomState::new().hash_one(std::process::id());
    let len = u64::from(RANGE.end - RANGE.start);
    let ports =
        (0..len).map(|i| RANGE.start + u16::try_from((begin % len + i) % len).expect("a port's offset"));
    let free = |port: &u16| !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = ports.into_iter().find(free).expect("a port is free");
    taken.insert(port);
    port
}
