//! PgBouncer.

use std::process::Command;

use rustix::process::Signal;

use crate::place::Place;
use crate::postgres::{PASSWORD, USER, accepts};
use crate::{Options, Postgres, Result, Server, Service, find};

/// PgBouncer in transaction mode: whoever is between two transactions has no connection to the database.
#[derive(Debug)]
#[must_use]
pub struct PgBouncer([Service; 1]);

impl PgBouncer {
    /// Starts it in front of a server.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start(postgres: &Postgres) -> Result<Self> {
        Self::start_with(postgres, &Options::new())
    }

    /// Starts it with lines of its `[pgbouncer]` section, such as `pool_mode = session`.
    ///
    /// # Errors
    ///
    /// If it can't be started; with what it printed.
    pub fn start_with(postgres: &Postgres, options: &Options) -> Result<Self> {
        let place = Place::for_server("pgbouncer", options)?;
        let (port, behind) = (place.port, postgres.port());
        let lines = place.settings(options).join("\n");
        place.write("users", format!("\"{USER}\" \"{PASSWORD}\"\n").as_bytes())?;
        let ini = format!(
            "[databases]\n* = host=127.0.0.1 port={behind}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = users\n\
             pool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 500\n{lines}\n"
        );
        place.write("pgbouncer.ini", ini.as_bytes())?;
        let program = find("pgbouncer").ok_or("`pgbouncer` is not installed")?;
        let mut command = Command::new(program);
        command.arg("pgbouncer.ini");
        Ok(Self([Service::launch(place, &command, Signal::TERM, Box::new(accepts))?]))
    }
}

impl Server for PgBouncer {
    fn dsn(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@{}/postgres", self.address())
    }

    fn services(&self) -> &[Service] {
        &self.0
    }
}
