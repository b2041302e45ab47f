//! Takes a connection string apart; all its faults are collected, so that they are reported at once.

#[cfg(any(all(unix, feature = "files"), feature = "sqlite", feature = "network"))]
use std::fmt::Display;
#[cfg(feature = "network")]
use std::{str::FromStr, time::Duration};

use crate::error::{Error, ErrorKind, Result};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::store::Tls;

/// A connection string, taken apart: `driver:path?option=value&option=value`.
pub(super) struct Dsn<'a> {
    pub(super) driver: &'a str,
    /// What stands between the colon and the question mark.
    path: &'a str,
    options: Vec<(&'a str, &'a str)>,
    faults: Vec<String>,
}

impl<'a> Dsn<'a> {
    pub(super) fn parse(dsn: &'a str) -> Result<Self> {
        let Some((driver, rest)) = dsn.split_once(':') else {
            return Err(invalid(
                "a connection string begins with a driver and a colon, as in files:writable/sessions",
            ));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let options = query.split('&').filter(|option| !option.is_empty());
        let options = options.map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
        Ok(Self { driver, path, options, faults: Vec::new() })
    }

    /// Reports everything that was not understood.
    pub(super) fn finish(self, grammar: &str) -> Result<()> {
        let Self { driver, path, options, mut faults } = self;
        if !path.is_empty() {
            faults.push("nothing follows the colon but options".into());
        }
        faults
            .extend(options.iter().map(|(name, _)| format!("there is no option `{}`", name.escape_debug())));
        if faults.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("the connection string of `{driver}` ({grammar}): {}", faults.join("; "))))
    }
}

/// # Drivers with a path or options
#[cfg(any(all(unix, feature = "files"), feature = "sqlite", feature = "network"))]
impl<'a> Dsn<'a> {
    /// Takes what stands between the colon and the question mark.
    pub(super) fn take_path(&mut self) -> &'a str {
        std::mem::take(&mut self.path)
    }

    pub(super) fn fault(&mut self, fault: impl Display) {
        self.faults.push(fault.to_string());
    }

    /// Takes an option that is one of a few words.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.option(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(format!("`{name}` is one of: {}", words.join(", ")));
        }
        chosen
    }

    /// Takes an option as it is written.
    pub(super) fn option(&mut self, name: &str) -> Option<&'a str> {
        let at = self.options.iter().position(|(known, _)| *known == name)?;
        Some(self.options.remove(at).1)
    }
}

/// # Drivers of servers
#[cfg(feature = "network")]
impl Dsn<'_> {
    /// Takes an option that is a number or another thing that is written as one word. `what` tells what is
    /// expected, as in "a number from 0 to 15".
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let value = self.option(name)?;
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.fault(format!("`{name}` is {what}"));
        }
        parsed
    }

    /// Takes an option that is a time: `2s`, `150ms`, `1m`, or seconds.
    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        let value = self.option(name)?;
        let parsed = crate::policy::parse_duration(value);
        if parsed.is_none() {
            self.fault(format!("`{name}` is a time, as in 500ms or 2s"));
        }
        parsed
    }

    /// Takes `tls=on|off` and `tls_ca=FILE`.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(super) fn take_tls(&mut self) -> Tls {
        let on = self.choice("tls", &[("on", true), ("off", false)]);
        match self.text("tls_ca") {
            Some(_) if on == Some(false) => {
                self.fault("`tls_ca` does not go with `tls=off`");
                Tls::Off
            }
            Some(file) => Tls::PrivateCa(file.into()),
            None if on == Some(true) => Tls::PublicCa,
            None => Tls::Off,
        }
    }

    /// Takes an option that may hold any text, written with percent signs where it must be.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.option(name)?;
        match percent_encoding::percent_decode_str(value).decode_utf8() {
            Ok(text) => Some(text.into_owned()),
            Err(_) => {
                self.fault(format!("`{name}` is not UTF-8 text"));
                None
            }
        }
    }
}

pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}
