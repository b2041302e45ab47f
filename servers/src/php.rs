//! A real PHP application in a process of its own: `php/peer.php`, where its options and operations are listed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Result;

/// Where PHP's programs are.
pub const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/php");

/// A running PHP program that reads and writes lines. Dropped, it is killed.
#[derive(Debug)]
pub struct Php {
    process: Child,
    stdin: ChildStdin,
}

impl Php {
    /// Starts a program of [`PROGRAMS`] with one argument; each line that it prints is given to `on_line`, on a
    /// thread of its own, until that returns `false`.
    ///
    /// # Errors
    ///
    /// If there is no PHP.
    pub fn start(
        program: &str,
        argument: &str,
        mut on_line: impl FnMut(String) -> bool + Send + 'static,
    ) -> Result<Self> {
        let mut process = Command::new("php")
            .args([format!("{PROGRAMS}/{program}"), argument.to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("php with its session extension is needed: {error}"))?;
        let stdin = process.stdin.take().ok_or("its input is piped")?;
        let stdout = process.stdout.take().ok_or("its output is piped")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                if !on_line(line) {
                    return;
                }
            }
        });
        Ok(Self { process, stdin })
    }

    /// Sends a line.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub fn send(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.stdin, "{line}")?)
    }

    /// Ends the process as `kill -9` does, whatever it holds.
    ///
    /// # Errors
    ///
    /// If it can't be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Stops the process until [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err("the PHP process has ended".into()) }
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.kill());
    }
}
