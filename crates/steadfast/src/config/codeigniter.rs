//! The names that CodeIgniter's `Config\Session` and `Config\Cookie` have in a `.env` file.

use std::collections::HashSet;

use super::{Settings, dotenv};
use crate::policy::Fault;

/// The settings that are understood, as CodeIgniter 4 names them.
const NAMES: [&str; 18] = [
    "session.driver",
    "session.cookieName",
    "session.expiration",
    "session.savePath",
    "session.matchIP",
    "session.timeToUpdate",
    "session.regenerateDestroy",
    "session.DBGroup",
    "session.lockRetryInterval",
    "session.lockMaxRetries",
    "cookie.path",
    "cookie.domain",
    "cookie.secure",
    "cookie.samesite",
    "cookie.prefix",
    "cookie.expires",
    "cookie.httponly",
    "cookie.raw",
];

impl Settings {
    /// Reads the session and cookie settings of a CodeIgniter 4 `.env` file.
    ///
    /// Takes each name with a dot (`session.expiration`), with an underscore (`session_expiration`), and as
    /// it was in `Config\App` (`app.sessionExpiration`); everything else in the file is left alone. What
    /// these settings can't say, or say otherwise, is in [`remarks`](Self::remarks); what can't be read is
    /// reported when they are [applied](Self::apply).
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::Settings;
    ///
    /// let settings = Settings::from_codeigniter_env(
    ///     "
    ///     session.driver = 'CodeIgniter\\Session\\Handlers\\FileHandler'
    ///     session.savePath = '/srv/shop/writable/session'
    ///     session.regenerateDestroy = false
    ///     ",
    /// );
    /// assert_eq!(settings.store(), Some("files:/srv/shop/writable/session"));
    /// assert!(settings.remarks()[0].contains("session.regenerateDestroy"));
    /// ```
    pub fn from_codeigniter_env(text: &str) -> Self {
        let mut import = Import::default();
        let mut seen = HashSet::new();
        for (name, value) in dotenv::pairs(text) {
            match NAMES.iter().find(|known| is_named(name, known)) {
                Some(known) if !seen.insert(*known) => import.fault(name, "is set twice; remove one"),
                Some(_) if value.contains("${") => {
                    import.fault(name, "refers to another variable; write its value here");
                }
                Some(known) => import.take(known, name, &value),
                None => import.leave(name),
            }
        }
        import.settle_store();
        import.settings
    }
}

fn is_named(name: &str, known: &str) -> bool {
    let legacy =
        || name.strip_prefix("app.").is_some_and(|old| old.eq_ignore_ascii_case(&known.replace('.', "")));
    name == known || name == known.replace('.', "_") || legacy()
}

/// What has been read so far. The store follows from two settings, so they wait for the end.
#[derive(Default)]
struct Import {
    settings: Settings,
    driver: Option<String>,
    save_path: Option<String>,
}

impl Import {
    fn take(&mut self, known: &str, label: &str, value: &str) {
        match known {
            "session.driver" => self.driver = Some(value.rsplit('\\').next().unwrap_or(value).into()),
            "session.savePath" => self.save_path = Some(value.into()),
            "session.cookieName" => self.set("cookie_name", label, value),
            "session.expiration" => self.take_expiration(label, value),
            "session.timeToUpdate" => {
                self.set("rotate_every", label, if value == "0" { "off" } else { value });
            }
            "session.matchIP" => self.take_bool("match_ip", label, value, ["off", "exact"]),
            "cookie.path" => self.set("cookie_path", label, value),
            "cookie.domain" if value.is_empty() => {}
            "cookie.domain" => self.set("cookie_domain", label, value),
            "cookie.secure" => {
                self.take_bool("dangerous_insecure_cookie", label, value, ["true", "false"]);
                if let "false" | "0" = value {
                    self.remark(
                        label,
                        "is false: the cookie is sent over plain HTTP too, readable on the way",
                    );
                }
            }
            "cookie.samesite" => self.set("same_site", label, if value.is_empty() { "Lax" } else { value }),
            // CodeIgniter does not heed these for its session cookie either.
            "cookie.prefix" | "cookie.expires" | "cookie.httponly" | "cookie.raw" => {}
            _ => self.take_without_counterpart(known, label),
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

    fn take_expiration(&mut self, label: &str, value: &str) {
        if value == "0" {
            return self.remark(label, "is 0: the cookie ends with the browser, as it does here by default");
        }
        self.set("idle_timeout", label, value);
        self.remark(
            label,
            "is taken as `idle_timeout`; the cookie ends with the browser unless the visitor asked to be \
             remembered, and `absolute_timeout` ends the session, which CodeIgniter never does",
        );
    }

    fn take_without_counterpart(&mut self, known: &str, label: &str) {
        self.remark(
            label,
            match known {
                "session.regenerateDestroy" => {
                    "is not needed: a rotated cookie stays good for `forward_window` and until its successor \
                     has arrived, and for nothing after that"
                }
                "session.DBGroup" => "is not taken over: name the database in `store`",
                _ => "is not taken over: set `lock_wait`",
            },
        );
    }

    /// Says something about a setting that is none of ours, if it looks like one.
    fn leave(&mut self, name: &str) {
        if name.starts_with("session.") || name.starts_with("cookie.") {
            self.remark(name, "is no setting of CodeIgniter's sessions; it was left alone");
        }
        if name.starts_with("app.proxyIPs") {
            self.remark(name, "is not taken over: set `trusted_proxies` and `proxy_header`");
        }
    }

    fn settle_store(&mut self) {
        let Self { settings, driver, save_path } = self;
        let driver = driver.take();
        let name = driver.as_deref().unwrap_or("FileHandler");
        match (name, save_path.take()) {
            ("FileHandler" | "files", Some(path)) if !path.is_empty() => {
                settings.set("store", "session.savePath", &format!("files:{path}"));
            }
            ("FileHandler" | "files", _) if driver.is_none() => {}
            ("FileHandler" | "files", _) => {
                self.remark("session.savePath", "is not set: name the folder in `store`, as `files:…`");
            }
            _ => self.remark("session.driver", "is not taken over: name the server in `store`"),
        }
    }

    fn fault(&mut self, label: &str, why: &'static str) {
        self.settings.faults.push(Fault::hidden(label.to_owned(), why));
    }

    fn remark(&mut self, label: &str, what: &str) {
        self.settings.remarks.push(format!("`{}` {what}", label.escape_debug()));
    }
}
