//! CodeIgniter 3: `application/config/config.php`, and `database.php` beside it.

use std::path::Path;

use super::codeigniter4::common;
use super::source::{self, Assignment, Value};
use super::{Import, optional, required};
use crate::config::Settings;
use crate::error::Result;
use crate::policy::Layout;

/// The settings that are understood, and their names in CodeIgniter 4.
const NAMES: [(&str, &str); 13] = [
    ("sess_driver", "session.driver"),
    ("sess_cookie_name", "session.cookieName"),
    ("sess_samesite", "cookie.samesite"),
    ("sess_expiration", "session.expiration"),
    ("sess_save_path", "session.savePath"),
    ("sess_match_ip", "session.matchIP"),
    ("sess_time_to_update", "session.timeToUpdate"),
    ("sess_regenerate_destroy", "session.regenerateDestroy"),
    ("cookie_path", "cookie.path"),
    ("cookie_domain", "cookie.domain"),
    ("cookie_secure", "cookie.secure"),
    // Names of CodeIgniter 2 that version 3 still takes.
    ("sess_table_name", "session.savePath"),
    ("sess_use_database", "session.driver"),
];

impl Settings {
    /// Reads the session and cookie settings of CodeIgniter 3's `application/config/config.php`, and sets its
    /// layout. `database.php` beside it says where a table is.
    ///
    /// Literals count, and strings that are joined with `APPPATH` or `__DIR__`. Nothing is run: what code sets,
    /// or computes, is in [`remarks`](Self::remarks).
    ///
    /// Blocks while it reads, so it is for the start of a program.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the file can't be read.
    pub fn from_codeigniter3_config(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let constants = |constant: &str| match (constant, folder.parent()) {
            ("APPPATH", Some(application)) => Some(format!("{}/", application.display())),
            _ => common(constant, folder),
        };
        let mut import = Import::new(Layout::CodeIgniter3);
        import.take_config(&source::elements(&required(path)?, "config", &constants));
        if let Some(text) = optional(&folder.join("database.php"))? {
            import.take_connections(&text, &constants);
        }
        import.settle_store();
        Ok(import.settings)
    }
}

impl Import {
    fn take_config(&mut self, found: &[Assignment]) {
        let file = "config.php";
        // The last of several statements counts, and what version 3 names itself before what it inherited.
        let last = |name: &str| found.iter().rev().find(|found| found.name == name);
        for found in
            found.iter().filter(|found| !found.sure && NAMES.iter().any(|(name, _)| *name == found.name))
        {
            self.take_assigned("", file, found);
        }
        for (name, known) in NAMES {
            match last(name).filter(|found| found.sure) {
                Some(found) if name == "sess_use_database" => self.take_use_database(file, found),
                Some(found) if name == "sess_samesite" => self.take_same_site(file, found),
                Some(found) => self.take_assigned(known, file, found),
                None => {}
            }
        }
        if let Some(found) = last("sess_expire_on_close").filter(|_| last("sess_expiration").is_none())
            && found.value == Value::Text("true".into())
        {
            self.take("session.expiration", &format!("{file}:{} {}", found.line, found.name), "0");
        }
        for name in ["sess_encrypt_cookie", "sess_match_useragent"] {
            if let Some(found) = last(name) {
                let label = format!("{file}:{} {name}", found.line);
                self.remark(&label, "is a setting of CodeIgniter 2, without effect in version 3 and here");
            }
        }
        if let Some(found) = last("proxy_ips").filter(|found| found.value != Value::Text(String::new())) {
            let label = format!("{file}:{} proxy_ips", found.line);
            self.remark(&label, "is not taken over: `matchIP` of CodeIgniter 3 goes by the socket's address");
        }
        self.remark(
            file,
            "does not say which ids PHP makes, and CodeIgniter 3 takes no others: see `php_ids`",
        );
    }

    /// An unknown word is `Lax` there.
    fn take_same_site(&mut self, file: &str, found: &Assignment) {
        let word = match &found.value {
            Value::Text(text) if ["lax", "strict", "none"].contains(&text.to_ascii_lowercase().as_str()) => {
                text
            }
            Value::Text(_) | Value::Null => "Lax",
            _ => return self.take_assigned("cookie.samesite", file, found),
        };
        self.take("cookie.samesite", &format!("{file}:{} {}", found.line, found.name), word);
    }

    /// Without a driver of version 3, the one of version 2 that used a table.
    fn take_use_database(&mut self, file: &str, found: &Assignment) {
        if self.driver.is_none() && found.value == Value::Text("true".into()) {
            self.take("session.driver", &format!("{file}:{} {}", found.line, found.name), "database");
        }
    }

    fn take_connections(&mut self, text: &str, constants: source::Constants<'_>) {
        if let Some(group) = source::variable(text, "active_group", constants) {
            self.databases.default_group.get_or_insert(group);
        }
        for Assignment { name, value, sure, .. } in source::elements(text, "db", constants) {
            if let (Value::List(keys), true) = (value, sure) {
                self.take_group(&name, keys);
            }
        }
    }
}
