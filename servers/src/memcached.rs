//! Memcached.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Options, Result, Server, Service};

/// A Memcached server of its own. It keeps nothing over a restart.
#[derive(Debug)]
#[must_use]
pub struct Memcached([Service; 1]);

impl Memcached {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts it with arguments, one a setting: `-m1` for a memory of one megabyte, `-I512k` for items
    /// of half a megabyte at most.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        let place = Place::for_server("memcached", options)?;
        let mut command = Command::new("memcached");
        command.args(["-l", "127.0.0.1", "-p", &place.port.to_string(), "-U", "0", "-t", "2"]);
        command.args(place.settings(options));
        Ok(Self([Service::launch(place, &command, Signal::TERM, Box::new(tells_its_version))?]))
    }
}

impl Server for Memcached {
    fn dsn(&self) -> String {
        format!("memcached://{}", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}

fn tells_its_version(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 8];
    stream.write_all(b"version\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok()
        && answer == *b"VERSION "
}
