//! CodeIgniter 4: the `.env`, and the classes in `app/Config`.

use std::path::Path;

use super::source::{self, Assignment, Value};
use super::{Import, dotenv, optional};
use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Layout;

/// The settings that are understood, by the names that they have in a `.env`.
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
    /// Reads the session and cookie settings of a CodeIgniter 4 `.env` file, and sets its layout.
    ///
    /// Takes each name with a dot (`session.expiration`), with an underscore (`session_expiration`), and as
    /// it was in `Config\App` (`app.sessionExpiration`), and the groups of `database.…`; everything else in the
    /// file is left alone. What these settings can't say, or say otherwise, is in [`remarks`](Self::remarks);
    /// what can't be read is reported when they are [applied](Self::apply).
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::{Layout, Policy, Settings};
    ///
    /// let settings = Settings::from_codeigniter_env(
    ///     "
    ///     session.driver = 'CodeIgniter\\Session\\Handlers\\RedisHandler'
    ///     session.savePath = 'tcp://cache:6379?database=2'
    ///     session.lockMaxRetries = 100
    ///     ",
    /// );
    /// assert_eq!(settings.store(), Some("redis://cache:6379/2"));
    /// assert!(settings.remarks()[0].starts_with("`.env:4 session.lockMaxRetries` is not taken over"));
    /// let policy = settings.apply(Policy::builder()).build()?;
    /// assert_eq!(policy.layout(), Layout::CodeIgniter4);
    /// # Ok::<(), steadfast::Error>(())
    /// ```
    pub fn from_codeigniter_env(text: &str) -> Self {
        let mut import = Import::new(Layout::CodeIgniter4);
        import.take_env(text);
        import.settle_store();
        import.settings
    }

    /// Reads the settings of a CodeIgniter 4 project: its `.env`, which wins as it does there, and
    /// `Session.php`, `Cookie.php`, `App.php` and `Database.php` in `app/Config`.
    ///
    /// Of the classes, literals count, and strings that are joined with `__DIR__`, `WRITEPATH`, `APPPATH` or
    /// `ROOTPATH`. Nothing is run: what code sets, or computes, is in [`remarks`](Self::remarks).
    ///
    /// Blocks while it reads, so it is for the start of a program.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if `project` has neither `app/Config/Session.php`
    /// nor `app/Config/App.php`, or if a file can't be read.
    pub fn from_codeigniter_config(project: impl AsRef<Path>) -> Result<Self> {
        let project = project.as_ref();
        let mut import = Import::new(Layout::CodeIgniter4);
        if let Some(text) = optional(&project.join(".env"))? {
            import.take_env(&text);
        }
        let files = Files { project, writable: writable(project)? };
        let session = files.read("Session.php")?;
        let app = files.read("App.php")?;
        if session.is_none() && app.is_none() {
            let message = format!("there is no app/Config/Session.php or App.php in {}", project.display());
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        import.take_class("session", "app/Config/Session.php", &session.unwrap_or_default());
        import.take_class("cookie", "app/Config/Cookie.php", &files.read("Cookie.php")?.unwrap_or_default());
        import.take_app(&app.unwrap_or_default());
        import.take_databases(files.read("Database.php")?.unwrap_or_default());
        if files.config("Registrar.php").exists() {
            import.remark("app/Config/Registrar.php", "can change settings when PHP runs; it was not read");
        }
        import.settle_store();
        Ok(import.settings)
    }
}

/// The classes of a project's configuration.
struct Files<'a> {
    project: &'a Path,
    /// What `WRITEPATH` stands for; none if only PHP can tell.
    writable: Option<String>,
}

impl Files<'_> {
    fn config(&self, name: &str) -> std::path::PathBuf {
        self.project.join("app/Config").join(name)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<Assignment>>> {
        let constants = |constant: &str| match constant.trim_start_matches('\\') {
            "WRITEPATH" => self.writable.clone(),
            "APPPATH" => Some(format!("{}/", self.project.join("app").display())),
            "ROOTPATH" => Some(format!("{}/", self.project.display())),
            other => common(other, &self.project.join("app/Config")),
        };
        Ok(optional(&self.config(name))?.map(|text| source::properties(&text, &constants)))
    }
}

/// Returns what the path of writable files is, by `app/Config/Paths.php`.
fn writable(project: &Path) -> Result<Option<String>> {
    let folder = project.join("app/Config");
    let Some(text) = optional(&folder.join("Paths.php"))? else {
        return Ok(Some(format!("{}/", project.join("writable").display())));
    };
    let paths = source::properties(&text, &|constant| common(constant, &folder));
    let named = paths.into_iter().rev().find(|path| path.name == "writableDirectory" && path.sure);
    Ok(named.and_then(|path| match path.value {
        Value::Text(path) => Some(format!("{}/", path.trim_end_matches(['/', '\\', ' ']))),
        _ => None,
    }))
}

/// What is the same in every file of a folder.
pub(super) fn common(constant: &str, folder: &Path) -> Option<String> {
    match constant {
        "__DIR__" => Some(folder.display().to_string()),
        "DIRECTORY_SEPARATOR" | "DS" => Some("/".into()),
        _ => None,
    }
}

impl Import {
    fn take_env(&mut self, text: &str) {
        for (line, name, value) in dotenv::pairs(text) {
            let label = format!(".env:{line} {name}");
            let known = NAMES.iter().find(|known| is_named(name, known));
            if value.contains("${") && (known.is_some() || name.starts_with("database.")) {
                self.fault(&label, "refers to another variable; write its value here");
                continue;
            }
            match known {
                Some(known) if self.seen.insert((*known).into()) => self.take(known, &label, &value),
                Some(_) => self.fault(&label, "is set twice; remove one"),
                None => self.leave(name, &label, value),
            }
        }
    }

    /// Looks at a name that is no setting of the sessions.
    fn leave(&mut self, name: &str, label: &str, value: String) {
        let mut parts = name.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("database"), Some("defaultGroup"), None) => {
                self.databases.default_group.get_or_insert(value);
            }
            (Some("database"), Some(group), Some(key)) => self.databases.note(group, key, Some(value)),
            (Some("session" | "cookie"), Some(_), None) => {
                self.remark(label, "is no setting of CodeIgniter's sessions; it was left alone");
            }
            (Some("app"), Some(proxies), _) if proxies.starts_with("proxyIPs") => self.remark_proxies(label),
            _ => {}
        }
    }

    fn remark_proxies(&mut self, label: &str) {
        self.remark(label, "is not taken over: set `trusted_proxies` and `proxy_header`");
    }

    /// Takes the properties of `Config\Session` or `Config\Cookie`.
    fn take_class(&mut self, class: &str, file: &str, found: &[Assignment]) {
        for found in found {
            let name = format!("{class}.{}", found.name);
            if NAMES.contains(&name.as_str()) {
                self.take_assigned(&name, file, found);
            } else if found.sure {
                let label = format!("{file}:{} {}", found.line, found.name);
                self.remark(&label, "is no setting of CodeIgniter's sessions; it was left alone");
            }
        }
    }

    /// Takes what `Config\App` had before 4.3 and 4.1.5, under names of its own.
    fn take_app(&mut self, found: &[Assignment]) {
        let file = "app/Config/App.php";
        let mut is_old = false;
        for found in found {
            if let Some(known) = NAMES.iter().find(|known| is_in_app(&found.name, known)) {
                is_old |= known.starts_with("session.") && found.sure;
                self.take_assigned(known, file, found);
            }
            if found.name == "proxyIPs" && !matches!(&found.value, Value::List(list) if list.is_empty()) {
                self.remark_proxies(&format!("{file}:{} proxyIPs", found.line));
            }
        }
        if is_old {
            self.remark(
                file,
                "has the session's settings, as before CodeIgniter 4.3: if it is older than 4.2.11, the keys in \
                 its databases, Redis and Memcached have other names, and can't be shared",
            );
        }
    }

    fn take_databases(&mut self, found: Vec<Assignment>) {
        for Assignment { name, value, sure, .. } in found {
            match value {
                Value::Text(group) if name == "defaultGroup" && sure => {
                    self.databases.default_group.get_or_insert(group);
                }
                Value::List(keys) if sure => self.take_group(&name, keys),
                _ => {}
            }
        }
    }

    /// Takes the connection of a database group.
    pub(super) fn take_group(&mut self, group: &str, keys: Vec<Assignment>) {
        for Assignment { name, value, .. } in keys {
            let value = match value {
                Value::Text(text) => Some(text),
                Value::Null => Some(String::new()),
                Value::Code | Value::List(_) => None,
            };
            self.databases.note(group, &name, value);
        }
    }
}

fn is_named(name: &str, known: &str) -> bool {
    name == known
        || name == known.replace('.', "_")
        || name.strip_prefix("app.").is_some_and(|old| is_in_app(old, known))
}

/// `sessionExpiration` for `session.expiration`.
fn is_in_app(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(&known.replace('.', ""))
}
