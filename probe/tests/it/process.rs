//! A probe as a process of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A running probe, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) address: SocketAddr,
    child: Child,
    outputs: PathBuf,
}

/// Returns the program, to be started with some arguments.
pub(crate) fn program() -> &'static OsStr {
    OsStr::new(env!("CARGO_BIN_EXE_steadfast-probe"))
}

/// Returns the library that moves a process' clock.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut files = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.is_file()).expect("libfaketime is installed: it is in the package faketime")
}

impl Probe {
    /// Starts a probe whose outputs go to files that begin with `outputs`.
    pub(crate) fn start(outputs: &Path, arguments: &[String]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments);
        Self::spawn(outputs, command)
    }

    /// Starts a probe whose clock is off by so many seconds.
    pub(crate) fn start_at(offset: i64, outputs: &Path, arguments: &[String]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments);
        if offset != 0 {
            // Waits are not moved: they go by the other clock.
            command.env("LD_PRELOAD", faketime()).env("FAKETIME", format!("{offset:+}"));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Self::spawn(outputs, command)
    }

    /// Starts a probe by a command that lacks only what every test needs.
    pub(crate) fn spawn(outputs: &Path, mut command: Command) -> Self {
        let mut child = command
            .arg("--events")
            .arg(outputs.with_extension("events"))
            .env("PROBE_LOG", "debug")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(outputs.with_extension("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        let outputs = outputs.to_owned();
        let address = address.unwrap_or_else(|| {
            let stderr = fs::read_to_string(outputs.with_extension("stderr")).unwrap_or_default();
            panic!("the probe did not start: {line:?} {stderr}")
        });
        Self { address, child, outputs }
    }

    /// Ends the process without a warning, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to stop.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops the process where it is, as a machine does that is out of memory or suspended.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Returns the events so far, one JSON object a line.
    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.outputs.with_extension("events")).unwrap_or_default()
    }

    /// Returns all that it wrote so far, logs and events.
    pub(crate) fn written(&self) -> String {
        fs::read_to_string(self.outputs.with_extension("stderr")).unwrap_or_default() + &self.events()
    }

    /// Counts the events of a name.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.events().matches(&format!("\"event\":\"{event}\"")).count()
    }

    /// Waits until there are so many events of a name.
    #[track_caller]
    pub(crate) fn await_events(&self, event: &str, count: usize) {
        let given_up = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while self.count(event) < count {
            assert!(std::time::Instant::now() < given_up, "no `{event}` came: {}", self.events());
            // The file is what there is to look at; nothing wakes who waits for a line of it.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
