//! The save paths of CodeIgniter's and phpredis' handlers, as connection strings of ours.

use super::query::{decode, encode, pairs};

/// Whose grammar it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    CodeIgniter4,
    CodeIgniter3,
    Php,
}

/// A connection string, and what is to be said about it.
pub(super) struct Found {
    pub(super) dsn: String,
    pub(super) notes: Vec<&'static str>,
}

/// Reads a save path; else says why it is none. Neither shows any of it, because it may hold a password.
pub(super) fn read(path: &str, grammar: Grammar) -> Result<Found, &'static str> {
    if path.is_empty() {
        return Err("is empty: CodeIgniter and PHP need a server here");
    }
    if grammar == Grammar::Php && path.split([',', ' ']).filter(|part| part.contains("://")).count() > 1 {
        return Err("names several servers, over which phpredis spreads sessions; this needs one");
    }
    let mut notes = Vec::new();
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    if !fragment.is_empty() {
        notes.push("is cut at its `#`, as PHP does; write `%23` for one in a password");
    }
    let (address, query) = path.split_once('?').unwrap_or((path, ""));
    let options = Options::read(query, grammar, &mut notes)?;
    let (scheme, place) = place(address, grammar, &mut notes)?;
    Ok(Found { dsn: options.dsn(scheme, &place), notes })
}

/// Where the server is.
enum Place {
    /// Host and port, as in a connection string.
    Tcp(String),
    Socket(String),
}

fn place(
    address: &str,
    grammar: Grammar,
    notes: &mut Vec<&'static str>,
) -> Result<(&'static str, Place), &'static str> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, address),
    };
    match scheme {
        Some("unix") => return Ok(("redis", Place::Socket(rest.into()))),
        None if rest.starts_with('/') => return Ok(("redis", Place::Socket(rest.into()))),
        Some("tcp" | "tls") | None => {}
        Some("redis") => notes.push("has the scheme `redis`, which phpredis does not know; write `tcp`"),
        Some(_) => {
            return Err("has a scheme that phpredis does not know; write `tcp://`, `tls://` or `unix://`");
        }
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !path.is_empty() && grammar == Grammar::CodeIgniter4 {
        notes.push(
            "has a path after the host, which CodeIgniter takes for a Unix socket, and for nothing else: \
             name a database by `?database=`, and one server only",
        );
        return Ok(("redis", Place::Socket(path.into())));
    }
    if !path.is_empty() {
        return Err("has a path after the host; name a database by `?database=`");
    }
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => {
            notes.push("has a user and a password before the host, which PHP ignores; it takes `?auth=`");
            host
        }
        None => authority,
    };
    let has_port =
        host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    if scheme.is_none() && !has_port && grammar != Grammar::CodeIgniter3 {
        return Err("is refused by CodeIgniter: a host alone needs its port, as in `localhost:6379`");
    }
    if host.is_empty() || host.starts_with(':') || (!has_port && host.contains(':') && !host.ends_with(']')) {
        return Err("has no host and port that can be read, as in `tcp://localhost:6379`");
    }
    let tls = scheme == Some("tls");
    Ok((if tls { "rediss" } else { "redis" }, Place::Tcp(host.into())))
}

/// What follows the question mark.
#[derive(Default)]
struct Options {
    user: Option<String>,
    password: Option<String>,
    database: u32,
    /// In milliseconds.
    timeout: Option<u64>,
    prefix: Option<String>,
}

impl Options {
    fn read(query: &str, grammar: Grammar, notes: &mut Vec<&'static str>) -> Result<Self, &'static str> {
        let mut options = Self::default();
        for (name, value) in pairs(query) {
            let raw = grammar == Grammar::CodeIgniter3;
            let text = if raw { Some(value.to_owned()) } else { decode(value) };
            let text = text.ok_or("has an option that is not UTF-8 text")?;
            match decode(name).unwrap_or_default().as_str() {
                "auth" | "auth[pass]" | "auth[1]" => options.password = Some(text),
                "auth[user]" | "auth[0]" => options.user = Some(text),
                "auth[]" if options.user.is_none() => options.user = Some(text),
                "auth[]" => options.password = Some(text),
                "database" => options.database = number(&text, notes),
                "timeout" if raw && !text.contains('.') => {
                    notes.push("has a `timeout` without a decimal point, which CodeIgniter 3 ignores");
                }
                "timeout" => options.timeout = milliseconds(&text),
                "prefix" => options.prefix = Some(text),
                "persistent" | "persistent_id" => {}
                _ => notes.push("has an option that is not taken over"),
            }
        }
        // One name alone, in a list of one, is the password.
        if options.password.is_none() {
            options.password = options.user.take();
        }
        Ok(options)
    }

    fn dsn(self, scheme: &str, place: &Place) -> String {
        let Self { user, password, database, timeout, prefix } = self;
        let mut query = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            query.extend(value.map(|value| format!("{name}={}", encode(&value))));
        };
        let mut address = match place {
            Place::Socket(path) => {
                add("database", (database != 0).then(|| database.to_string()));
                add("user", user);
                add("password", password);
                format!("redis+unix:{}{}", if path.starts_with("//") { "" } else { "//" }, path)
            }
            Place::Tcp(host) => {
                let login = password.map(|password| {
                    format!("{}:{}@", encode(user.as_deref().unwrap_or_default()), encode(&password))
                });
                let database = if database == 0 { String::new() } else { format!("/{database}") };
                format!("{scheme}://{}{host}{database}", login.unwrap_or_default())
            }
        };
        add("prefix", prefix);
        add("connect_timeout", timeout.map(|timeout| format!("{timeout}ms")));
        if !query.is_empty() {
            address.push('?');
        }
        address + &query.join("&")
    }
}

/// PHP makes a number of the digits at the beginning, and zero of none.
fn number(text: &str, notes: &mut Vec<&'static str>) -> u32 {
    text.parse().unwrap_or_else(|_| {
        notes.push("has a `database` that is no number: PHP takes 0");
        0
    })
}

/// PHP's default of 0 is no limit, which there is none of here.
fn milliseconds(seconds: &str) -> Option<u64> {
    let seconds = seconds.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Some((seconds * 1_000.0).clamp(1.0, 60_000.0) as u64)
}
