//! The engines that CodeIgniter has handlers for, and a site on one of them.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use steadfast_servers::shared_dsn;
use tempfile::TempDir;

use super::application::Application;
use crate::site::{Browser, Site};

/// Where CodeIgniter keeps its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Files,
    Mysql,
    Postgres,
    Redis,
    Memcached,
}

/// Three nodes in CodeIgniter's layout, and how a PHP application finds the same sessions.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) site: Site,
    handler: Value,
    driver: &'static str,
    layout: &'static str,
    cookie: String,
    _dir: TempDir,
}

impl Engine {
    /// Returns whether a lock ends with the process that holds it; else PHP's stays for 300 seconds.
    pub(super) fn frees_locks_of_the_dead(self) -> bool {
        !matches!(self, Self::Redis | Self::Memcached)
    }

    /// Starts a site in which nobody has a session yet.
    pub(super) fn start(self, arguments: &str) -> Shared {
        self.start_in("ci4", arguments)
    }

    /// Starts a site in a layout.
    pub(super) fn start_in(self, layout: &'static str, arguments: &str) -> Shared {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        // The cookie's name is a part of every name in a store, so it keeps the tests apart.
        let cookie = format!("ci_{}_{number}", std::process::id());
        let table = format!("{cookie}_sessions");
        let (driver, dsn, handler) = match self {
            Self::Files => {
                let path = dir.path().join("sessions");
                ("files", format!("files:{}", path.display()), json!({ "save_path": path }))
            }
            Self::Mysql => {
                let server = shared_dsn("MYSQL");
                ("mysql", format!("{server}?table={table}&create=true"), of_sql(&server, &table))
            }
            Self::Postgres => {
                let server = shared_dsn("POSTGRES");
                ("postgres", format!("{server}?table={table}&create=true"), of_sql(&server, &table))
            }
            Self::Redis => {
                let server = shared_dsn("REDIS");
                let (host, port) = address(&server);
                let handler = json!({ "host": host, "port": port, "lock_wait_ms": 10, "lock_tries": 3_000 });
                ("redis", server, handler)
            }
            Self::Memcached => {
                let server = shared_dsn("MEMCACHED");
                let servers = json!([address(&server)]);
                let handler = json!({ "servers": servers, "lock_wait_ms": 10, "lock_tries": 3_000 });
                ("memcached", server, handler)
            }
        };
        let rotation = if arguments.contains("--rotate-every") { "" } else { "--rotate-every 0" };
        let arguments = format!("--layout {layout} --cookie-name {cookie} {rotation} {arguments}");
        Shared { site: Site::on_dsn(&dsn, &arguments), handler, driver, layout, cookie, _dir: dir }
    }
}

impl Shared {
    /// Starts a PHP application on the site's store, which does not change ids by itself.
    pub(super) fn php(&self) -> Application {
        self.php_with(json!({ "time_to_update": 0 }))
    }

    pub(super) fn php_with(&self, more: Value) -> Application {
        let mut options = json!({
            "driver": self.driver, "handler": self.handler, "layout": self.layout, "cookie_name": self.cookie,
        });
        let (Value::Object(options), Value::Object(more)) = (&mut options, more) else {
            unreachable!("both are written as objects")
        };
        options.extend(more);
        Application::start(&Value::Object(options.clone()))
    }

    /// Returns a browser that has a session's id.
    pub(super) fn browser(&self, id: &str) -> Browser<'_> {
        self.site.browser_with(format!("{}={id}", self.cookie))
    }
}

/// Takes a connection string apart, as PHP's handlers want it: `mysql://user:password@host:port/database`.
fn of_sql(dsn: &str, table: &str) -> Value {
    let (_, rest) = dsn.split_once("://").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    let (host, port) = address(dsn);
    json!({
        "host": host, "port": port, "user": user, "password": password, "database": database, "table": table,
    })
}

fn address(dsn: &str) -> (String, u16) {
    let (_, rest) = dsn.split_once("://").unwrap();
    let authority = rest.split('/').next().unwrap();
    let (host, port) = authority.rsplit('@').next().unwrap().rsplit_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

/// Makes a test of each function for each engine.
macro_rules! on_every_engine {
    ($($test:ident)*) => {
        mod files { $(#[test] fn $test() { super::$test(super::Engine::Files); })* }
        mod mysql { $(#[test] fn $test() { super::$test(super::Engine::Mysql); })* }
        mod postgres { $(#[test] fn $test() { super::$test(super::Engine::Postgres); })* }
        mod redis { $(#[test] fn $test() { super::$test(super::Engine::Redis); })* }
        mod memcached { $(#[test] fn $test() { super::$test(super::Engine::Memcached); })* }
    };
}
pub(super) use on_every_engine;
