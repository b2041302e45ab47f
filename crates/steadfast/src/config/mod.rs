//! Settings from outside the program: a TOML file, the environment, the configuration of CodeIgniter and PHP.
//!
//! Every source is text under a name, read by the same rules. What can't be read is kept as a fault, so
//! that it is reported together with what the policy finds wrong.

#[cfg(feature = "php")]
mod import;
mod nearest;
mod php;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::client::{Cidr, ProxyHeader};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Codec, Concurrency, Fault, IpMatch, Layout, OnServerError, PolicyBuilder, SameSite};
#[cfg(all(feature = "fuzzing", feature = "php"))]
pub(crate) use import::read_source_for_fuzzing;
use nearest::nearest;
use php::{Format, Ids, Php};
use value::{Dsn, FromText, KeyFile, Keys, Ring, Text};

/// What the name of every setting in the environment begins with.
const PREFIX: &str = "STEADFAST_";

/// A setting as a source gave it, or why it can't be one.
type Given<T> = Option<Result<T, Fault>>;

/// Lists the settings: name, type, and the method of the builder that takes it.
macro_rules! settings {
    ($($name:ident: $type:ty => $apply:expr;)*) => {
        /// Settings from a TOML file, the environment or the configuration of CodeIgniter or PHP, to be
        /// [applied](Self::apply) to a [`PolicyBuilder`].
        ///
        /// All are optional, and each has one name: the one of the builder's method; in the environment
        /// in capitals after `STEADFAST_`. Durations are written as `30m`, `1h30m`, `250ms`, or as a
        /// number of seconds. `docs/configuration.md` lists all of them.
        ///
        /// Implements [`Deserialize`], so it can be a part of an application's own configuration.
        ///
        /// # Examples
        ///
        /// ```
        /// use steadfast::{Policy, Settings};
        ///
        /// # fn main() -> Result<(), steadfast::Error> {
        /// let file = Settings::from_toml(
        ///     r#"
        ///     store = "files:/var/lib/shop/sessions"
        ///     idle_timeout = "1h"
        ///     trusted_proxies = ["10.0.0.0/8"]
        ///     "#,
        /// )?;
        /// let settings = Settings::from_env().or(file);
        /// let policy = settings.apply(Policy::builder()).build()?;
        /// assert_eq!(settings.store(), Some("files:/var/lib/shop/sessions"));
        /// # drop(policy);
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Clone, Debug, Default)]
        #[must_use]
        pub struct Settings {
            store: Given<Dsn>,
            migrate_from: Given<Dsn>,
            $($name: Given<$type>,)*
            remarks: Vec<String>,
            faults: Vec<Fault>,
        }

        impl Settings {
            const NAMES: &[&str] = &["store", "migrate_from", $(stringify!($name)),*];

            /// Fills what is not set from other settings.
            ///
            /// Remarks and unknown names of both are kept.
            pub fn or(self, other: Self) -> Self {
                Self {
                    store: self.store.or(other.store),
                    migrate_from: self.migrate_from.or(other.migrate_from),
                    $($name: self.$name.or(other.$name),)*
                    remarks: [self.remarks, other.remarks].concat(),
                    faults: [self.faults, other.faults].concat(),
                }
            }

            /// Sets on a builder all that is set here.
            ///
            /// What could not be read is reported by [`PolicyBuilder::build`], together with everything
            /// else that is wrong.
            pub fn apply(&self, mut builder: PolicyBuilder) -> PolicyBuilder {
                $(
                    let set: fn(PolicyBuilder, $type) -> PolicyBuilder = $apply;
                    builder = match &self.$name {
                        Some(Ok(value)) => set(builder, value.clone()),
                        Some(Err(fault)) => builder.fault(fault.clone()),
                        None => builder,
                    };
                )*
                for dsn in [&self.store, &self.migrate_from] {
                    if let Some(Err(fault)) = dsn {
                        builder = builder.fault(fault.clone());
                    }
                }
                if self.key_ring.is_some() && self.key_ring_file.is_some() {
                    // It would not be clear which keys seal.
                    let why = "and `key_ring_file` are both set; keep one of them";
                    builder = builder.fault(Fault::hidden("key_ring", why));
                }
                self.faults.iter().cloned().fold(builder, PolicyBuilder::fault)
            }

            /// Reads a setting and reports whether there is one of this name. A fault calls it `label`.
            fn set(&mut self, name: &str, label: &str, text: &str) -> bool {
                match name {
                    "store" => self.store = Some(read(label, text)),
                    "migrate_from" => self.migrate_from = Some(read(label, text)),
                    $(stringify!($name) => self.$name = Some(read(label, text)),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

settings! {
    // These two are for `apply_before`.
    migrate_from_layout: Layout => |builder, _| builder;
    migrate_from_cookie_name: String => |builder, _| builder;
    layout: Layout => PolicyBuilder::layout;
    idle_timeout: Duration => PolicyBuilder::idle_timeout;
    absolute_timeout: Duration => PolicyBuilder::absolute_timeout;
    remember_idle_timeout: Duration => PolicyBuilder::remember_idle_timeout;
    remember_absolute_timeout: Duration => PolicyBuilder::remember_absolute_timeout;
    rotate_every: Option<Duration> => |builder, age| builder.rotate_every(age);
    forward_window: Duration => PolicyBuilder::forward_window;
    concurrency: Concurrency => PolicyBuilder::concurrency;
    lock_wait: Duration => PolicyBuilder::lock_wait;
    lease: Duration => PolicyBuilder::lease;
    lease_max: Duration => PolicyBuilder::lease_max;
    on_server_error: OnServerError => PolicyBuilder::on_server_error;
    codec: Codec => PolicyBuilder::codec;
    temp_ttl: Duration => PolicyBuilder::temp_ttl;
    max_record_bytes: usize => PolicyBuilder::max_record_bytes;
    max_keys: usize => PolicyBuilder::max_keys;
    max_key_bytes: usize => PolicyBuilder::max_key_bytes;
    max_cookie_bytes: usize => PolicyBuilder::max_cookie_bytes;
    match_ip: Option<IpMatch> => |builder, part| builder.match_ip(part);
    match_user_agent: bool => |builder, on| {
        if on { builder.match_user_agent() } else { builder.ignore_user_agent() }
    };
    trusted_proxies: Vec<Cidr> => PolicyBuilder::proxy_networks;
    proxy_header: ProxyHeader => PolicyBuilder::proxy_header;
    cookie_name: String => |builder, name| builder.cookie_name(name);
    cookie_path: String => |builder, path| builder.cookie_path(path);
    cookie_domain: String => |builder, domain| builder.cookie_domain(domain);
    same_site: SameSite => PolicyBuilder::same_site;
    partitioned: bool => |builder, on| if on { builder.partitioned() } else { builder.unpartitioned() };
    dangerous_insecure_cookie: bool => |builder, on| {
        if on { builder.dangerous_insecure_cookie() } else { builder.secure_cookie() }
    };
    store_deadline: Duration => PolicyBuilder::store_deadline;
    breaker_failures: u32 => PolicyBuilder::breaker_failures;
    breaker_pause: Duration => PolicyBuilder::breaker_pause;
    node: String => |builder, name| builder.node(name);
    key_ring: Keys => |builder, Keys(ring)| key_ring(builder, ring);
    key_ring_file: KeyFile => |builder, KeyFile(ring)| key_ring(builder, ring);
    refuse_unsealed: bool => refuse_unsealed;
    php_format: Format => php::format;
    php_ids: Ids => php::ids;
    php_user_key: Php<String> => php::user_key;
    cookie_lifetime: Php<Option<Duration>> => php::cookie_lifetime;
    regenerate_destroy: Php<bool> => php::regenerate_destroy;
    dangerous_adopt_unknown_ids: Php<bool> => php::adopt_unknown_ids;
}

fn read<T: FromText>(label: &str, text: &str) -> Result<T, Fault> {
    T::from_text(text).map_err(|why| match T::SHOWN {
        true => Fault::new(label.to_owned(), text, why),
        false => Fault::hidden(label.to_owned(), why),
    })
}

#[cfg(feature = "sealed")]
fn key_ring(builder: PolicyBuilder, ring: Ring) -> PolicyBuilder {
    builder.key_ring(ring)
}

#[cfg(feature = "sealed")]
fn refuse_unsealed(builder: PolicyBuilder, on: bool) -> PolicyBuilder {
    if on { builder.refuse_unsealed() } else { builder.accept_unsealed() }
}

/// Never called: no text is read as a key ring in such a build.
#[cfg(not(feature = "sealed"))]
fn key_ring(builder: PolicyBuilder, (): Ring) -> PolicyBuilder {
    builder
}

#[cfg(not(feature = "sealed"))]
fn refuse_unsealed(builder: PolicyBuilder, on: bool) -> PolicyBuilder {
    match on {
        true => builder.fault(Fault::new("refuse_unsealed", on, "needs the feature `sealed`")),
        false => builder,
    }
}

impl Settings {
    /// Reads settings from TOML text.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if the text is not TOML. Unknown names and
    /// values that can't be read are reported when the settings are [applied](Self::apply).
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            // The error's own text quotes the line, which may hold the store's password.
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let message = format!("the settings are no TOML: {} (line {line})", error.message());
            Error::new(ErrorKind::InvalidConfig, message)
        })
    }

    /// Reads settings from a TOML file.
    ///
    /// Blocks while it reads, so it is for the start of a program.
    ///
    /// # Errors
    ///
    /// As [`from_toml`](Self::from_toml), and if the file can't be read.
    pub fn from_toml_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the settings in {}", path.display());
            Error::new(ErrorKind::InvalidConfig, message).with_source(error)
        })?;
        Self::from_toml(&text)
    }

    /// Reads settings from the environment of the process: `STEADFAST_IDLE_TIMEOUT`, …
    ///
    /// A name that is nearly one of a setting is a fault, reported when the settings are
    /// [applied](Self::apply). Any other name that begins with `STEADFAST_` belongs to somebody else, and
    /// a [remark](Self::remarks) says that it was left alone.
    pub fn from_env() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    fn from_vars(vars: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut settings = Self::default();
        for (name, value) in vars {
            let Some(label) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let Some(text) = value.to_str() else {
                settings.faults.push(Fault::hidden(label.to_owned(), "is not UTF-8"));
                continue;
            };
            let name = label[PREFIX.len()..].to_ascii_lowercase();
            // Names of settings are in capitals, so one in other letters is a misspelt one.
            let is_capital = !label.contains(|c: char| c.is_ascii_lowercase());
            if is_capital && settings.set(&name, label, text) {
                continue;
            }
            match nearest(&name, Self::NAMES) {
                Some(meant) => settings.misspelt(label, &format!("{PREFIX}{}", meant.to_ascii_uppercase())),
                None => settings.remarks.push(format!("`{label}` is no setting and was left alone")),
            }
        }
        settings
    }

    /// Returns the connection string of the store, as `SessionLayer::connect` takes it.
    ///
    /// May hold a password: it is shown by no message and no `Debug` of these settings.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        match &self.store {
            Some(Ok(Dsn(store))) => Some(store),
            _ => None,
        }
    }

    /// Returns the connection string of the store where sessions were before, if they are to move.
    ///
    /// Open it with the policy of [`apply_before`](Self::apply_before), for
    /// [`SessionsBuilder::migrate_from`](crate::SessionsBuilder::migrate_from). May hold a password, as
    /// [`store`](Self::store).
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{Policy, Sessions, Settings};
    ///
    /// # async fn example() -> steadfast::Result<()> {
    /// let settings = Settings::from_toml("store = 'memory:'\nmigrate_from = 'memory:'")?;
    /// let mut builder = Sessions::builder().policy(settings.apply(Policy::builder()).build()?);
    /// if let Some(before) = settings.migrate_from() {
    ///     let policy = settings.apply_before(Policy::builder()).build()?;
    ///     builder = builder.migrate_from(Sessions::builder().policy(policy).connect(before).await?);
    /// }
    /// let sessions = builder.connect(settings.store().unwrap_or("memory:")).await?;
    /// # drop(sessions);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn migrate_from(&self) -> Option<&str> {
        match &self.migrate_from {
            Some(Ok(Dsn(store))) => Some(store),
            _ => None,
        }
    }

    /// Sets on a builder how sessions were where they come from: all that is set here, with the layout and the
    /// cookie's name of before, and without what that layout has no place for.
    pub fn apply_before(&self, builder: PolicyBuilder) -> PolicyBuilder {
        let mut before = self.clone();
        before.layout = self.migrate_from_layout.clone().or_else(|| self.layout.clone());
        before.cookie_name = self.migrate_from_cookie_name.clone().or_else(|| self.cookie_name.clone());
        if matches!(before.layout, Some(Ok(layout)) if layout != Layout::Native) {
            (before.key_ring, before.key_ring_file, before.refuse_unsealed) = (None, None, None);
            (before.codec, before.match_user_agent) = (None, None);
            (before.absolute_timeout, before.remember_idle_timeout) = (None, None);
            before.remember_absolute_timeout = None;
            let is_php = matches!(&before.layout, Some(Ok(layout)) if layout.as_str() == "php");
            before.match_ip.take_if(|part| is_php || matches!(part, Ok(Some(IpMatch::Prefix { .. }))));
        }
        before.apply(builder)
    }

    /// Returns what a source holds and these settings can't say, above all what CodeIgniter and PHP were asked
    /// for, one sentence each, to be logged at start.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn misspelt(&mut self, label: &str, meant: &str) {
        let why = format!("is no setting; did you mean `{meant}`?");
        self.faults.push(Fault::hidden(label.to_owned(), why));
    }

    fn unknown(&mut self, name: &str) {
        match nearest(name, Self::NAMES) {
            Some(meant) => self.misspelt(name, meant),
            None => self.faults.push(Fault::hidden(name.to_owned(), "is no setting; remove it")),
        }
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Settings, A::Error> {
                let mut settings = Settings::default();
                while let Some(name) = table.next_key::<String>()? {
                    let Text(text) = table.next_value()?;
                    if !settings.set(&name, &name, &text) {
                        settings.unknown(&name);
                    }
                }
                Ok(settings)
            }
        }
        deserializer.deserialize_map(Table)
    }
}

/// Compiles the example of the page.
#[cfg(all(doctest, feature = "php"))]
#[doc = include_str!("../../../../docs/configuration.md")]
struct Page;

#[cfg(test)]
mod tests;
