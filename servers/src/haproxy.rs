//! HAProxy.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Options, Result, Server, Service, find};

/// Longest head of a request or a response, in bytes. Tests send absurd cookies.
const BUFFER: usize = 256 * 1_024;

/// A load balancer over HTTP nodes, as blind as one can be: each request goes to the next node, whatever
/// cookie it carries. Nodes are not checked, and nothing is tried twice, so that who is sent to a dead node
/// gets a 503, and whose node dies on the way a 502: a test sees every failure.
#[derive(Debug)]
#[must_use]
pub struct Haproxy([Service; 1]);

impl Haproxy {
    /// Starts it in front of nodes.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start(nodes: &[SocketAddr]) -> Result<Self> {
        let place = Place::for_server("haproxy", &Options::new())?;
        let port = place.port;
        let mut config = format!(
            "global\n  maxconn 2000\n  tune.bufsize {BUFFER}\n\
             defaults\n  mode http\n  timeout connect 2s\n  timeout client 120s\n  timeout server 120s\n  \
             retries 0\n  no option redispatch\n  http-reuse never\n  option httpclose\n\
             listen nodes\n  bind 127.0.0.1:{port}\n  balance roundrobin\n"
        );
        for (number, node) in nodes.iter().enumerate() {
            config.push_str(&format!("  server node-{number} {node}\n"));
        }
        place.write("haproxy.cfg", config.as_bytes())?;
        let program = find("haproxy").ok_or("`haproxy` is not installed")?;
        let mut command = Command::new(program);
        command.args(["-db", "-f", "haproxy.cfg"]);
        Ok(Self([Service::launch(place, &command, Signal::KILL, Box::new(|_| true))?]))
    }
}

impl Server for Haproxy {
    fn dsn(&self) -> String {
        format!("http://{}", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}
