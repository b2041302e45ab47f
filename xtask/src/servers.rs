//! Servers that a stage needs, each for itself alone.

use std::fs::{self, DirBuilder, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// How long a server may take to accept its first connection, or to stop when asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait between two looks at a server.
const POLL: Duration = Duration::from_millis(20);

/// A server on a free loopback port with a private folder. Dropping it stops it and its children and
/// removes the folder.
#[must_use]
pub(crate) struct Service {
    address: SocketAddr,
    child: Child,
    /// Dropped after the child has stopped.
    _folder: Folder,
}

impl Service {
    /// Starts a server and waits until it accepts connections.
    ///
    /// `command` makes the call from the port to listen on and the folder to keep files in, which is
    /// the working directory, `TMPDIR` and `HOME` as well.
    ///
    /// # Errors
    ///
    /// With what the server printed, if it does not accept connections within 20 seconds.
    pub(crate) fn start(name: &str, command: impl FnOnce(u16, &Path) -> Command) -> Result<Self> {
        let folder = Folder::create(name)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(folder.0.join("log"))?;
        let mut command = dies_with_us(&command(port, &folder.0));
        command.current_dir(&folder.0).env("TMPDIR", &folder.0).env("HOME", &folder.0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut service = Self { address: (Ipv4Addr::LOCALHOST, port).into(), child, _folder: folder };
        if !service.accepts_connections() {
            let log = fs::read_to_string(service._folder.0.join("log")).unwrap_or_default();
            return Err(format!("{name} did not start:\n{log}").into());
        }
        Ok(service)
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn accepts_connections(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            if TcpStream::connect_timeout(&self.address, PATIENCE).is_ok() {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }

    fn wait_for_its_end(&mut self) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the server and all it started.
    fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} -- -{}", self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.signal("TERM");
        self.wait_for_its_end();
        // Whatever would not go. Where all went the group is gone, and so is its number's meaning.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}

/// Leads the process group of a server: hands SIGTERM on to all of it and waits for the server's end.
const LEADER: &str = r#"trap 'trap "" TERM; kill -s TERM 0' TERM; "$@" & wait; wait"#;

/// Wraps a command so that it ends, with all it started, when this process ends, however it ends: the
/// kernel then sends SIGTERM to the leader.
fn dies_with_us(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "TERM", "--", "sh", "-c", LEADER, "leader"]);
    wrapped.arg(command.get_program()).args(command.get_args()).process_group(0);
    wrapped
}

/// A folder for one server that only its owner can enter; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("steadfast-{name}-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_start_is_an_error_with_what_it_printed() {
        let says_why = |_, _: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo no room left; exit 1"]);
            command
        };
        let error = Service::start("broken", says_why).err().expect("it exits at once");
        assert_eq!(error.to_string(), "broken did not start:\nno room left\n");
    }
}
