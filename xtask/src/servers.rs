//! The servers that tests share, and the command that starts them for whoever works on a driver.

use std::process::{Command, ExitCode};

use steadfast_servers::Shared;

use crate::packages::{self, Tool};
use crate::{Result, process};

/// What all of [`steadfast_servers`] needs.
pub(crate) const TOOLS: [Tool; 12] = [
    Tool::Program { program: "redis-server", package: "redis-server" },
    Tool::Program { program: "postgres", package: "postgresql" },
    Tool::Program { program: "pgbouncer", package: "pgbouncer" },
    Tool::Program { program: "mariadbd", package: "mariadb-server" },
    Tool::Program { program: "memcached", package: "memcached" },
    Tool::Program { program: "haproxy", package: "haproxy" },
    Tool::Program { program: "faketime", package: "faketime" },
    Tool::Program { program: "php", package: "php-cli" },
    Tool::PhpModule { module: "redis", package: "php-redis" },
    Tool::PhpModule { module: "memcached", package: "php-memcached" },
    Tool::PhpModule { module: "mysqli", package: "php-mysql" },
    Tool::PhpModule { module: "pgsql", package: "php-pgsql" },
];

/// Starts one server of each kind.
pub(crate) fn start() -> Result<Shared> {
    Shared::start()
}

/// Starts the shared servers and prints how to find them; runs a command with them, or waits to be stopped.
pub(crate) fn command(args: &[&str]) -> Result<ExitCode> {
    packages::ensure(&TOOLS)?;
    let servers = start()?;
    for (name, value) in servers.variables() {
        println!("export {name}='{value}'");
    }
    let words = match args {
        [] => loop {
            std::thread::park();
        },
        ["--", words @ ..] | words => words,
    };
    let mut command = Command::new(words.first().ok_or("behind `--` a command is missing")?);
    command.args(&words[1..]).envs(servers.variables());
    let status = process::hand_over(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
