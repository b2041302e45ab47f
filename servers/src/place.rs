//! Where a server lives: a private folder and a port.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Options, Result, free_port};

/// The user without rights, and its group, that servers run as where we are root: databases refuse to run
/// as root, and no server needs it.
const NOBODY: u32 = 65_534;

/// Tells the folders of this process apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A folder that only the server's user can enter, and a port. Dropping it removes the folder.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) port: u16,
    folder: PathBuf,
    /// The user and group to change to, if any.
    user: Option<u32>,
}

impl Place {
    /// Makes a place for a server that runs as a user without rights.
    pub(crate) fn for_server(name: &str, options: &Options) -> Result<Self> {
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        let place = Self::create(name, is_root.then_some(NOBODY))?;
        for (name, contents) in &options.files {
            place.write(name, contents)?;
        }
        Ok(place)
    }

    /// Makes a place for a program that runs as we do.
    pub(crate) fn for_us(name: &str) -> Result<Self> {
        Self::create(name, None)
    }

    fn create(name: &str, user: Option<u32>) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("steadfast-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        DirBuilder::new().mode(0o700).create(&folder)?;
        let place = Self { name: name.to_owned(), port: free_port(), folder, user };
        chown(&place.folder, place.user, place.user)?;
        Ok(place)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Writes a file that the server owns and nobody else can read.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        file.write_all(contents)?;
        Ok(chown(&path, self.user, self.user)?)
    }

    /// Returns the options' settings with the folder filled in.
    pub(crate) fn settings(&self, options: &Options) -> Vec<String> {
        let folder = self.folder.display().to_string();
        options.settings.iter().map(|setting| setting.replace("{folder}", &folder)).collect()
    }

    /// Returns the arguments of `setpriv` that change to the server's user.
    pub(crate) fn privileges(&self) -> Vec<String> {
        let change = |id| vec![format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()];
        self.user.map(change).unwrap_or_default()
    }

    /// Gives a command the folder as its working directory and home, and the log for what it prints.
    pub(crate) fn settle(&self, command: &mut Command) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        command.current_dir(&self.folder).env("TMPDIR", &self.folder).env("HOME", &self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(())
    }

    /// Runs a command to its end, as the server's user in its folder.
    pub(crate) fn run(&self, command: &Command) -> Result<()> {
        let mut wrapped = Command::new("setpriv");
        wrapped.args(self.privileges()).arg("--").arg(command.get_program()).args(command.get_args());
        self.settle(&mut wrapped)?;
        let status = wrapped.status().map_err(|error| format!("cannot prepare {}: {error}", self.name))?;
        if status.success() { Ok(()) } else { Err(self.failure("could not be prepared")) }
    }

    /// Returns an error with all that was printed.
    pub(crate) fn failure(&self, what: &str) -> crate::Error {
        format!("{} {what}:\n{}", self.name, self.log()).into()
    }

    /// Returns all that was printed.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
