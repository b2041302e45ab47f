//! PostgreSQL.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Options, Result, Server, Service, find};

/// The user, who may do everything.
pub(crate) const USER: &str = "steadfast";

/// Its password.
pub(crate) const PASSWORD: &str = "not-so-secret";

/// Syncs nothing, as no test cuts the power: what was acknowledged still survives a `kill -9`.
const DEFAULTS: [&str; 5] = [
    "fsync=off",
    "full_page_writes=off",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "shared_preload_libraries=pg_stat_statements",
];

/// A PostgreSQL server of its own, with one user and the database `postgres`.
#[derive(Debug)]
#[must_use]
pub struct Postgres([Service; 1]);

impl Postgres {
    /// Starts it with an empty database.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts it with settings such as `max_connections=10` or `ssl=on`.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        let place = Place::for_server("postgres", options)?;
        place.write("password", PASSWORD.as_bytes())?;
        let data = place.folder().join("data");
        let mut initdb = Command::new(program("initdb")?);
        initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(place.folder().join("password"));
        initdb.args(["--username", USER, "--auth=scram-sha-256", "--no-sync"]);
        place.run(initdb.args(["--locale=C", "--encoding=UTF8"]))?;

        let mut postgres = Command::new(program("postgres")?);
        postgres.arg("-D").arg(&data).args(["-p", &place.port.to_string()]);
        for setting in DEFAULTS.into_iter().map(str::to_owned).chain(place.settings(options)) {
            postgres.args(["-c".to_owned(), setting]);
        }
        // Ends at once, but gives its shared memory back.
        Ok(Self([Service::launch(place, &postgres, Signal::QUIT, Box::new(accepts))?]))
    }
}

impl Server for Postgres {
    fn dsn(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@{}/postgres", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}

fn program(name: &str) -> Result<PathBuf> {
    find(name).ok_or_else(|| format!("`{name}` is not installed: it is in the package postgresql").into())
}

/// Reports whether a server of PostgreSQL's protocol asks a new connection for its password: one that
/// is still starting answers with an error.
pub(crate) fn accepts(stream: &mut TcpStream) -> bool {
    let mut message = Vec::from([0; 4]);
    message.extend(196_608_u32.to_be_bytes());
    for word in ["user", USER, "database", "postgres", ""] {
        message.extend(word.bytes().chain([0]));
    }
    let len = u32::try_from(message.len()).expect("the message is short");
    message[..4].copy_from_slice(&len.to_be_bytes());
    let mut kind = [0];
    stream.write_all(&message).and_then(|()| stream.read_exact(&mut kind)).is_ok() && kind == *b"R"
}
