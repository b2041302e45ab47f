//! The command line: what the probe is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use steadfast::{Cidr, Concurrency, IpMatch, KeyRing, Layout, Policy, PolicyBuilder, ProxyHeader, Settings};

/// A bare server whose routes do one session operation each. A test tool: it listens on loopback only.
#[derive(Debug, Parser)]
#[command(name = "steadfast-probe", version)]
pub(crate) struct Options {
    /// Address to listen on; it must be a loopback one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub(crate) listen: SocketAddr,

    /// Connection string of the store [default: memory:]
    #[arg(long, value_name = "DSN")]
    pub(crate) store: Option<String>,

    /// Whose cookies and records are read and written: native, ci4, ci3, php [default: native]
    #[arg(long, value_name = "L", value_parser = layout)]
    layout: Option<Layout>,

    /// Connection string of the store where sessions were before; they move as they are used
    #[arg(long, value_name = "DSN")]
    migrate_from: Option<String>,

    /// Their layout there [default: that of --layout]
    #[arg(long, value_name = "L", value_parser = layout)]
    migrate_from_layout: Option<Layout>,

    /// How overlapping requests share a session [default: exclusive]
    #[arg(long, value_name = "C")]
    concurrency: Option<Mode>,

    /// Name of this node in `/meta`, logs and metrics
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// Name of the cookie
    #[arg(long, value_name = "N")]
    cookie_name: Option<String>,

    /// Binds sessions to the client's address
    #[arg(long)]
    match_ip: bool,

    /// Binds sessions to the client's user agent
    #[arg(long)]
    match_user_agent: bool,

    /// Network of proxies whose `X-Forwarded-For` is believed; may be given several times
    #[arg(long, value_name = "CIDR")]
    trust_proxy: Vec<Cidr>,

    /// Sends cookies for HTTPS only
    #[arg(long)]
    secure: bool,

    /// Seconds that a session may stay unused
    #[arg(long, value_name = "S", value_parser = seconds)]
    idle: Option<Duration>,

    /// Seconds after which a session ends in any case
    #[arg(long, value_name = "S", value_parser = seconds)]
    absolute: Option<Duration>,

    /// Seconds after which a secret is replaced; 0 for never
    #[arg(long, value_name = "S", value_parser = seconds)]
    rotate_every: Option<Duration>,

    /// Seconds for which a replaced secret is still good
    #[arg(long, value_name = "S", value_parser = seconds)]
    forward_window: Option<Duration>,

    /// Seconds for which a request waits for its turn
    #[arg(long, value_name = "S", value_parser = seconds)]
    lock_wait: Option<Duration>,

    /// Seconds for which a lease is held without a renewal
    #[arg(long, value_name = "S", value_parser = seconds)]
    lease: Option<Duration>,

    /// Seconds for which a lease is held altogether
    #[arg(long, value_name = "S", value_parser = seconds)]
    lease_max: Option<Duration>,

    /// Automatic rotation destroys the old record; for layouts that are shared with PHP
    #[arg(long)]
    regenerate_destroy: bool,

    /// File of keys that seal records, and what `cookie:` sends; the newest first, one a line, in base64
    #[arg(long, value_name = "FILE")]
    key_ring: Option<PathBuf>,

    /// Web framework that serves
    #[arg(long, value_name = "A", default_value = "axum")]
    pub(crate) adaptor: Adaptor,

    /// Threads that serve
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: u16,

    /// File to which every session event is appended, as one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,

    /// TOML file of settings; options on the command line win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A web framework.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Adaptor {
    Axum,
    Actix,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Exclusive,
    Merge,
}

/// A setting that is a length of time.
type SetTime = fn(PolicyBuilder, Duration) -> PolicyBuilder;

/// What sessions are to be made of.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) store: String,
    pub(crate) policy: Policy,
    /// Where sessions were before.
    pub(crate) before: Option<Before>,
}

/// Where sessions were before.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) store: String,
    pub(crate) policy: Policy,
}

impl Options {
    /// Joins the settings file and the command line.
    ///
    /// # Errors
    ///
    /// Names options that this version has no use for, and whatever is wrong with the settings.
    pub(crate) fn choose(&self) -> Result<Chosen, String> {
        let file = match &self.config {
            Some(path) => Settings::from_toml_file(path).map_err(|e| steadfast::chain(&e).to_string())?,
            None => Settings::default(),
        };
        let store = with_tables(self.store.as_deref().or(file.store()).unwrap_or("memory:"));
        let mut builder = self.apply(file.apply(Policy::builder()));
        if let Some(path) = &self.key_ring {
            let ring = KeyRing::from_file(path).map_err(|e| steadfast::chain(&e).to_string())?;
            builder = builder.key_ring(ring);
        }
        let policy = builder.build().map_err(|e| e.to_string())?;
        let before = self.before(&file)?;
        Ok(Chosen { store, policy, before })
    }

    fn before(&self, file: &Settings) -> Result<Option<Before>, String> {
        let Some(store) = self.migrate_from.as_deref().or(file.migrate_from()) else { return Ok(None) };
        let mut builder = self.apply(file.apply_before(Policy::builder()));
        if let Some(layout) = self.migrate_from_layout {
            builder = builder.layout(layout);
        }
        let policy = builder.build().map_err(|e| e.to_string())?;
        Ok(Some(Before { store: with_tables(store), policy }))
    }

    fn apply(&self, mut builder: PolicyBuilder) -> PolicyBuilder {
        builder = if self.secure { builder } else { builder.dangerous_insecure_cookie() };
        if let Some(layout) = self.layout {
            builder = builder.layout(layout);
        }
        if self.regenerate_destroy {
            builder = builder.regenerate_destroy(true);
        }
        if let Some(mode) = self.concurrency {
            builder = builder.concurrency(match mode {
                Mode::Exclusive => Concurrency::Exclusive,
                Mode::Merge => Concurrency::Merge,
            });
        }
        if let Some(name) = &self.node {
            builder = builder.node(name);
        }
        if let Some(name) = &self.cookie_name {
            builder = builder.cookie_name(name);
        }
        if self.match_ip {
            builder = builder.match_ip(IpMatch::Exact);
        }
        if self.match_user_agent {
            builder = builder.match_user_agent();
        }
        if !self.trust_proxy.is_empty() {
            builder = builder.trusted_proxies(self.trust_proxy.iter().copied(), ProxyHeader::XForwardedFor);
        }
        self.apply_times(builder)
    }

    fn apply_times(&self, mut builder: PolicyBuilder) -> PolicyBuilder {
        let times: [(Option<Duration>, SetTime); 6] = [
            (self.idle, PolicyBuilder::idle_timeout),
            (self.absolute, PolicyBuilder::absolute_timeout),
            (self.forward_window, PolicyBuilder::forward_window),
            (self.lock_wait, PolicyBuilder::lock_wait),
            (self.lease, PolicyBuilder::lease),
            (self.lease_max, PolicyBuilder::lease_max),
        ];
        for (time, set) in times {
            builder = match time {
                Some(time) => set(builder, time),
                None => builder,
            };
        }
        match self.rotate_every {
            Some(Duration::ZERO) => builder.rotate_every(None),
            Some(age) => builder.rotate_every(age),
            None => builder,
        }
    }
}

/// Lets a database get its tables: whoever starts the probe wants them, unless the string says otherwise.
fn with_tables(store: &str) -> String {
    let has_tables =
        ["postgres:", "postgresql:", "mysql:", "mariadb:"].iter().any(|it| store.starts_with(it));
    if !has_tables || store.contains("create=") {
        return store.to_owned();
    }
    let mark = if store.contains('?') { '&' } else { '?' };
    format!("{store}{mark}create=true")
}

/// Refuses addresses that others could reach: the routes do whatever they are asked to.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr = text.parse().map_err(|_| "write it as 127.0.0.1:8080".to_owned())?;
    if addr.ip().is_loopback() { Ok(addr) } else { Err("the probe listens on loopback only".into()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write it in seconds: 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn layout(text: &str) -> Result<Layout, String> {
    let layouts = [Layout::Native, Layout::CodeIgniter4, Layout::CodeIgniter3, Layout::Php];
    let named = layouts.into_iter().find(|layout| layout.as_str() == text);
    named.ok_or_else(|| "is one of: native, ci4, ci3, php".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(arguments: &[&str], expected: &str) {
        let parsed = Options::try_parse_from([&["probe"], arguments].concat());
        let error = match parsed {
            Err(error) => error.to_string(),
            Ok(options) => options.choose().unwrap_err(),
        };
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_this_version_can_not_do_is_refused_by_name() {
        refused(&["--layout", "ci5"], "is one of: native, ci4, ci3, php");
        refused(&["--adaptor", "rocket"], "[possible values: axum, actix]");
        refused(&["--key-ring", "/nowhere/keys"], "the key ring in /nowhere/keys: it can't be read");

        refused(&["--listen", "0.0.0.0:80"], "loopback only");
        refused(&["--workers", "0"], "0 is not in 1..=1024");
        refused(&["--lease=-1"], "--lease");
        refused(&["--idle", "2", "--absolute", "1"], "`idle_timeout` (2s) is longer than");
    }

    #[test]
    fn seconds_may_have_decimals() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("1s").is_err());
    }
}
