//! Settings from what a site has already: CodeIgniter's configuration and PHP's.
//!
//! What can't be said here, is said otherwise, or is no literal becomes a remark or a fault with the file and
//! the line. No value that may hold a password is ever shown.

mod codeigniter3;
mod codeigniter4;
mod database;
mod dotenv;
mod memcached;
mod php_ini;
mod query;
mod redis;
mod source;
mod tokens;

use std::collections::HashSet;
use std::path::Path;

use super::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Fault, Layout};
use database::Databases;
use memcached::Spread;
use redis::Grammar;
use source::{Assignment, Value};

/// A text and where it stands, as messages name it: `.env:3 session.expiration`.
#[derive(Clone)]
struct Placed {
    label: String,
    text: String,
}

/// What has been read so far. The store follows from several settings, so they wait for the end.
struct Import {
    settings: Settings,
    layout: Layout,
    /// What was set already: the source that is read first wins.
    seen: HashSet<String>,
    driver: Option<Placed>,
    save_path: Option<Placed>,
    databases: Databases,
    /// What php-memcached's keys begin with, where it is told.
    memcached_prefix: Option<String>,
    /// How php-memcached's session handler spreads sessions over servers.
    memcached_spread: Spread,
}

impl Import {
    fn new(layout: Layout) -> Self {
        Self {
            settings: Settings { layout: Some(Ok(layout)), ..Settings::default() },
            layout,
            seen: HashSet::new(),
            driver: None,
            save_path: None,
            databases: Databases::default(),
            memcached_prefix: None,
            memcached_spread: Spread::Unweighted,
        }
    }

    /// Takes a setting of Config\Session or Config\Cookie, under CodeIgniter 4's name.
    fn take(&mut self, known: &str, label: &str, value: &str) {
        match known {
            "session.driver" => self.driver = Some(placed(label, value.rsplit('\\').next().unwrap_or(value))),
            "session.savePath" => self.save_path = Some(placed(label, value)),
            "session.DBGroup" => self.databases.group = Some(value.into()),
            "session.cookieName" => self.set("cookie_name", label, value),
            "session.expiration" => self.take_expiration(label, value),
            "session.timeToUpdate" => {
                self.set("rotate_every", label, if value == "0" { "off" } else { value });
            }
            "session.matchIP" => self.take_bool("match_ip", label, value, ["off", "exact"]),
            "session.regenerateDestroy" => {
                self.take_bool("regenerate_destroy", label, value, ["false", "true"]);
            }
            "session.lockRetryInterval" | "session.lockMaxRetries" => {
                self.remark(
                    label,
                    "is not taken over: set `lock_wait`, in which waiting for a lock ends here",
                );
            }
            "cookie.path" => self.set("cookie_path", label, value),
            "cookie.domain" if value.is_empty() => {}
            "cookie.domain" => self.set("cookie_domain", label, value),
            "cookie.secure" => self.take_secure(label, value),
            "cookie.samesite" => self.set("same_site", label, if value.is_empty() { "Lax" } else { value }),
            // CodeIgniter does not heed the others for its session cookie either.
            _ => {}
        }
    }

    fn set(&mut self, name: &str, label: &str, text: &str) {
        let known = self.settings.set(name, label, text);
        debug_assert!(known, "{name} is a setting");
    }

    fn take_bool(&mut self, name: &str, label: &str, value: &str, [no, yes]: [&str; 2]) {
        match value {
            "false" | "0" => self.set(name, label, no),
            "true" | "1" => self.set(name, label, yes),
            _ => self.settings.faults.push(Fault::new(label.to_owned(), value, "must be `true` or `false`")),
        }
    }

    fn take_secure(&mut self, label: &str, value: &str) {
        self.take_bool("dangerous_insecure_cookie", label, value, ["true", "false"]);
        if let "false" | "0" = value {
            self.remark(label, "is false: the cookie is sent over plain HTTP too, readable on the way");
        }
    }

    fn take_expiration(&mut self, label: &str, value: &str) {
        if value != "0" {
            return self.set("idle_timeout", label, value);
        }
        self.set("cookie_lifetime", label, "off");
        self.set("idle_timeout", label, "1440");
        self.remark(
            label,
            "is 0: the cookie ends with the browser, and an unused session when PHP's `session.gc_maxlifetime` \
             is over, taken as 1440 seconds; set `idle_timeout` if it is another",
        );
    }

    /// Takes what a PHP file assigns to a known name, or says why it can't.
    fn take_assigned(&mut self, known: &str, file: &str, found: &Assignment) {
        let label = format!("{file}:{} {}", found.line, found.name);
        if !found.sure {
            return self
                .remark(&label, "is set by code here, which was not run; if it counts, set it by hand");
        }
        match &found.value {
            Value::Text(text) if self.seen.insert(known.into()) => self.take(known, &label, text),
            Value::Null if self.seen.insert(known.into()) && known == "session.savePath" => {
                self.save_path = Some(placed(&label, ""));
            }
            Value::Code | Value::List(_) if self.seen.insert(known.into()) => {
                self.remark(&label, "is no literal, so only PHP knows its value; set it by hand");
            }
            _ => {}
        }
    }

    /// Makes the connection string of driver and save path.
    fn settle_store(&mut self) {
        let driver = self.driver.take();
        let path = self.save_path.take();
        let label =
            path.as_ref().or(driver.as_ref()).map_or("session.savePath", |placed| &placed.label).to_owned();
        let text = path.map(|path| path.text);
        match driver.as_ref().map_or("files", |driver| &driver.text) {
            "FileHandler" | "files" => self.take_files(&label, text.as_deref(), driver.is_some()),
            "RedisHandler" | "redis" => {
                self.take_found(&label, redis::read(&text.unwrap_or_default(), self.grammar()));
            }
            "MemcachedHandler" | "memcached" => {
                let prefix = self.memcached_prefix.take();
                let spread = if self.layout == Layout::Php { self.memcached_spread } else { Spread::Modulo };
                let found =
                    memcached::read(&text.unwrap_or_default(), self.grammar(), prefix.as_deref(), spread);
                self.take_found(&label, found);
            }
            kind @ ("DatabaseHandler" | "MySQLiHandler" | "PostgreHandler" | "database") => {
                self.take_database(&label, kind, text.as_deref().unwrap_or_default());
            }
            other => {
                let label = driver.as_ref().map_or(&label, |driver| &driver.label).clone();
                let why = "is no handler that this knows: files, a database, redis or memcached; set `store`";
                self.remark(&label, &format!("(`{}`) {why}", other.escape_debug()));
            }
        }
    }

    fn take_files(&mut self, label: &str, path: Option<&str>, asked_for: bool) {
        match path {
            Some(path) if !path.is_empty() => {
                let folder = path.rsplit(';').next().unwrap_or(path);
                if !folder.starts_with('/') {
                    self.remark(
                        label,
                        "is relative, and PHP's working directory may be another; write it in full",
                    );
                }
                self.set("store", label, &format!("files:{path}"));
            }
            Some(_) => {
                self.remark(label, "is empty, so PHP chooses the folder; name it in `store`, as `files:…`");
            }
            None if asked_for => {
                self.remark(label, "comes without a folder; name it in `store`, as `files:…`");
            }
            None => {}
        }
    }

    fn take_found(&mut self, label: &str, found: Result<redis::Found, &'static str>) {
        match found {
            Ok(found) => {
                self.set("store", label, &found.dsn);
                found.notes.iter().for_each(|note| self.remark(label, note));
            }
            Err(why) => self.settings.store = Some(Err(Fault::hidden(label.to_owned(), why))),
        }
    }

    fn take_database(&mut self, label: &str, kind: &str, table: &str) {
        match self.databases.dsn(kind, table) {
            Ok(found) => self.take_found(label, Ok(found)),
            Err(why) => self.remark(label, &why),
        }
    }

    fn grammar(&self) -> Grammar {
        match self.layout {
            Layout::CodeIgniter3 => Grammar::CodeIgniter3,
            Layout::Php => Grammar::Php,
            _ => Grammar::CodeIgniter4,
        }
    }

    fn fault(&mut self, label: &str, why: &'static str) {
        self.settings.faults.push(Fault::hidden(label.to_owned(), why));
    }

    fn remark(&mut self, label: &str, what: &str) {
        self.settings.remarks.push(format!("`{}` {what}", label.escape_debug()));
    }
}

fn placed(label: &str, text: &str) -> Placed {
    Placed { label: label.into(), text: text.into() }
}

/// Reads a file; none if there is none.
fn optional(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        // A comment in another encoding is no reason to refuse a file.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = format!("cannot read the settings in {}", path.display());
            Err(Error::new(ErrorKind::InvalidConfig, message).with_source(error))
        }
    }
}

fn required(path: &Path) -> Result<String> {
    optional(path)?.ok_or_else(|| {
        Error::new(ErrorKind::InvalidConfig, format!("there is no {} to read settings from", path.display()))
    })
}

/// Returns the lines of all settings that a file of PHP has.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_source_for_fuzzing(text: &str) -> Vec<usize> {
    let unknown = |_: &str| None;
    let found = [source::properties(text, &unknown), source::elements(text, "config", &unknown)];
    found.concat().into_iter().map(|found| found.line).collect()
}

#[cfg(test)]
mod tests;
