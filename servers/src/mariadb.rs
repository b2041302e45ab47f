//! MariaDB.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::{Options, Result, Server, Service, find};

/// The user, the password and the database.
const USER: &str = "steadfast";
const PASSWORD: &str = "not-so-secret";
const DATABASE: &str = "steadfast";

/// Small, and syncs nothing, as no test cuts the power: a commit is written before it is acknowledged, and
/// so survives a `kill -9`.
const DEFAULTS: [&str; 7] = [
    "innodb_flush_log_at_trx_commit=2",
    "innodb_buffer_pool_size=64M",
    "innodb_use_native_aio=OFF",
    "skip_log_bin",
    "skip_name_resolve",
    "bind_address=127.0.0.1",
    "max_connections=300",
];

/// A MariaDB server of its own, with one user who may do everything, and an empty database.
#[derive(Debug)]
#[must_use]
pub struct MariaDb([Service; 1]);

impl MariaDb {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::new())
    }

    /// Starts it with settings such as `max_allowed_packet=1M` or `max_connections=10`.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start_with(options: &Options) -> Result<Self> {
        let place = Place::for_server("mariadb", options)?;
        let data = format!("--datadir={}", place.folder().join("data").display());
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        // What the server would not take has to be the same here.
        install.args(["--innodb-log-file-size=16M", "--innodb-use-native-aio=OFF", &data]);
        place.run(&install)?;
        let init = format!(
            "CREATE DATABASE IF NOT EXISTS {DATABASE};\n\
             CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        );
        place.write("init.sql", init.as_bytes())?;

        let program =
            find("mariadbd").ok_or("`mariadbd` is not installed: it is in the package mariadb-server")?;
        let mut command = Command::new(program);
        command.args(["--no-defaults", "--innodb-log-file-size=16M", &data]);
        command.arg(format!("--port={}", place.port));
        command.arg(format!("--socket={}", place.folder().join("socket").display()));
        command.arg(format!("--init-file={}", place.folder().join("init.sql").display()));
        let settings = DEFAULTS.into_iter().map(str::to_owned).chain(place.settings(options));
        command.args(settings.map(|setting| format!("--{setting}")));
        // It takes its time over a shutdown, and nothing is left to keep.
        Ok(Self([Service::launch(place, &command, Signal::KILL, Box::new(greets))?]))
    }
}

impl Server for MariaDb {
    fn dsn(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}/{DATABASE}", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}

/// Reports whether it greets a new connection with version 10 of the protocol, not with an error.
fn greets(stream: &mut TcpStream) -> bool {
    let mut head = [0; 5];
    stream.read_exact(&mut head).is_ok() && head[4] == 10
}
