//! One server process and what can be done to it.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::place::Place;
use crate::{Result, family};

/// How long a server may take to answer, or to stop when asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for one answer.
const ONE_ANSWER: Duration = Duration::from_secs(2);

/// How long to wait between two looks at a server.
const POLL: Duration = Duration::from_millis(10);

/// Asks a server over a new connection whether it is ready.
pub(crate) type Ready = Box<dyn Fn(&mut TcpStream) -> bool + Send + Sync>;

/// A real server, or several that make one store.
pub trait Server: Send + Sync {
    /// Returns its connection string for Steadfast, or its address where it is no store.
    fn dsn(&self) -> String;

    /// Returns its processes; clients begin with the first one.
    fn services(&self) -> &[Service];

    /// Returns where it listens.
    fn address(&self) -> SocketAddr {
        self.services()[0].address()
    }

    /// Returns the port it listens on.
    fn port(&self) -> u16 {
        self.address().port()
    }

    /// Ends it without a warning, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// If it can't be waited for.
    fn kill(&self) -> Result<()> {
        self.services().iter().try_for_each(Service::kill)
    }

    /// Stops it where it is, as a machine does that is suspended: connections stay and nothing answers.
    fn pause(&self) {
        self.services().iter().for_each(Service::pause);
    }

    /// Returns the processor time that all its processes have used, to a hundredth of a second.
    fn processor_time(&self) -> Duration {
        self.services().iter().map(Service::processor_time).sum()
    }

    /// Lets it go on.
    fn resume(&self) {
        self.services().iter().for_each(Service::resume);
    }

    /// Kills it if it runs, starts it on the same ports with the same data, and waits until it answers.
    ///
    /// # Errors
    ///
    /// With what it printed, if it does not answer in time.
    fn restart(&self) -> Result<()> {
        self.services().iter().try_for_each(Service::restart)
    }
}

/// A process on a loopback port with a private folder. Dropping it stops it with all it started and
/// removes the folder.
#[derive(Debug)]
#[must_use]
pub struct Service {
    /// How it is started, and the process while it runs.
    process: Mutex<Process>,
    ready: Answers,
    stop: Signal,
    /// Dropped after the process has ended.
    place: Place,
}

#[derive(Debug)]
struct Process {
    command: Command,
    leader: Option<Child>,
}

struct Answers(Ready);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers(..)")
    }
}

impl Service {
    /// Starts a program that runs as we do, and waits until it accepts connections.
    ///
    /// `command` makes the call from the port to listen on and the folder to keep files in, which is
    /// the working directory, `TMPDIR` and `HOME` as well.
    ///
    /// # Errors
    ///
    /// With what it printed, if it does not accept connections within 30 seconds.
    pub fn start(name: &str, command: impl FnOnce(u16, &Path) -> Command) -> Result<Self> {
        let place = Place::for_us(name)?;
        let command = command(place.port, place.folder());
        Self::launch(place, &command, Signal::TERM, Box::new(|_| true))
    }

    /// Starts a server in its place and waits until it answers. `stop` is the signal that ends it quickly.
    pub(crate) fn launch(place: Place, command: &Command, stop: Signal, ready: Ready) -> Result<Self> {
        let mut command = dies_with_us(command, &place);
        place.settle(&mut command)?;
        let process = Mutex::new(Process { command, leader: None });
        let service = Self { process, ready: Answers(ready), stop, place };
        service.restart()?;
        Ok(service)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.place.address()
    }

    /// Returns its folder, which is its working directory.
    pub fn folder(&self) -> &Path {
        self.place.folder()
    }

    /// Returns all that it printed so far.
    pub fn log(&self) -> String {
        self.place.log()
    }

    /// Returns the processor time that it has used with all it started, to a hundredth of a second.
    pub fn processor_time(&self) -> Duration {
        let leader = self.process().leader.as_ref().map(Child::id);
        leader.map_or(Duration::ZERO, family::processor_time)
    }

    /// Ends it without a warning, as `kill -9` does, with all it started.
    ///
    /// # Errors
    ///
    /// If it can't be waited for.
    pub fn kill(&self) -> Result<()> {
        if let Some(mut leader) = self.process().leader.take() {
            family::kill_below(leader.id());
            // It ends with what it leads.
            leader.wait()?;
        }
        Ok(())
    }

    /// Stops it where it is, with all it started: connections stay and nothing answers.
    pub fn pause(&self) {
        if let Some(leader) = &self.process().leader {
            family::pause(leader.id());
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(leader) = &self.process().leader {
            family::resume(leader.id());
        }
    }

    /// Kills it if it runs, starts it on the same port with the same data, and waits until it answers.
    ///
    /// # Errors
    ///
    /// With what it printed, if it does not answer within 30 seconds.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        {
            let mut process = self.process();
            let command = std::mem::replace(&mut process.command, Command::new("false"));
            let (command, child) = spawn(command);
            process.command = command;
            let cannot = |error| format!("cannot start {}: {error}", self.place.name);
            process.leader = Some(child.map_err(cannot)?);
        }
        if self.answers() { Ok(()) } else { Err(self.place.failure("did not start")) }
    }

    /// Waits until it answers, or has ended.
    fn answers(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && self.is_running() {
            if self.ask().unwrap_or(false) {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }

    fn ask(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&self.address(), ONE_ANSWER)?;
        stream.set_read_timeout(Some(ONE_ANSWER))?;
        Ok((self.ready.0)(&mut stream))
    }

    fn is_running(&self) -> bool {
        self.process().leader.as_mut().is_some_and(|leader| matches!(leader.try_wait(), Ok(None)))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().expect("nobody panics with the process")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let leader = self.process().leader.as_ref().map(Child::id);
        if let Some(leader) = leader {
            // It lets others end what they share with it, a segment of memory for one.
            let _ = family::end(leader, self.stop, PATIENCE);
            drop(self.kill());
        }
    }
}

/// Waits until something is so. What can't be asked yet is not so yet.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    loop {
        let now = is_so();
        if matches!(now, Ok(true)) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let why = now.err().map_or_else(String::new, |error| format!(": {error}"));
            return Err(format!("waited in vain until {what}{why}").into());
        }
        std::thread::sleep(POLL);
    }
}

/// Leads a server: waits for its end, and when we are gone, ends it and removes its folder.
const LEADER: &str = r#"trap 'gone=1; trap "" TERM; kill -s TERM 0' TERM; "$@" & wait; wait
test -z "$gone" || rm -rf "$HOME""#;

/// Wraps a command so that it runs as the server's user, and ends with all it started when this process
/// ends, however it ends: the kernel then sends SIGTERM to the leader.
fn dies_with_us(command: &Command, place: &Place) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(place.privileges()).args(["--pdeathsig", "TERM", "--", "sh", "-c", LEADER, "leader"]);
    wrapped.arg(command.get_program()).args(command.get_args()).process_group(0);
    wrapped
}

type Spawned = (Command, std::io::Result<Child>);

/// Spawns from a thread that lives as long as this process: the signal at our death is one at the death of
/// the thread that spawned, and that of a test ends with the test.
fn spawn(command: Command) -> Spawned {
    static SPAWNER: OnceLock<mpsc::Sender<(Command, mpsc::Sender<Spawned>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<(Command, mpsc::Sender<Spawned>)>();
        std::thread::spawn(move || {
            for (mut command, reply) in jobs {
                let child = command.spawn();
                drop(reply.send((command, child)));
            }
        });
        sender
    });
    let (reply, child) = mpsc::channel();
    spawner.send((command, reply)).expect("the thread that spawns never ends");
    child.recv().expect("the thread that spawns answers every call")
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
        let error = Service::start("broken", says_why).expect_err("it exits at once");
        assert_eq!(error.to_string(), "broken did not start:\nno room left\n");
    }
}
