//! PHP's own settings: `php.ini`, `.user.ini`, a pool of FPM, or what `ini_get_all('session')` printed.

use std::path::Path;

use super::memcached::Spread;
use super::{Import, placed, required};
use crate::config::Settings;
use crate::error::Result;
use crate::policy::{Layout, PhpIds};

impl Settings {
    /// Reads the `session.*` settings of a `php.ini`, and sets the layout of PHP's own handlers.
    ///
    /// Takes `name = value` lines as `php.ini` and `.user.ini` have them, those of an FPM pool
    /// (`php_admin_value[session.name] = shop`), and what a program prints of `ini_get_all('session')`. What these
    /// settings can't say, or say otherwise, is in [`remarks`](Self::remarks); what can't be read is reported
    /// when they are [applied](Self::apply).
    ///
    /// A site of CodeIgniter sets most of them itself: read its configuration instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast::Settings;
    ///
    /// let settings = Settings::from_php_ini(
    ///     r#"
    ///     session.save_handler = redis
    ///     session.save_path = "tcp://cache:6379?prefix=shop:"
    ///     session.gc_maxlifetime = 3600
    ///     "#,
    /// );
    /// assert_eq!(settings.store(), Some("redis://cache:6379?prefix=shop%3A"));
    /// ```
    pub fn from_php_ini(text: &str) -> Self {
        read(text, "php.ini")
    }

    /// Reads the `session.*` settings of a file, as [`from_php_ini`](Self::from_php_ini) does.
    ///
    /// Blocks while it reads, so it is for the start of a program.
    ///
    /// # Errors
    ///
    /// Fails with [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if the file can't be read.
    pub fn from_php_ini_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().map_or("php.ini".into(), |name| name.to_string_lossy());
        Ok(read(&required(path)?, &name))
    }
}

fn read(text: &str, file: &str) -> Settings {
    let mut import = Import::new(Layout::Php);
    let mut ini = Ini::default();
    let mut is_for_all = true;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.starts_with('[') {
            let section = line.to_ascii_uppercase();
            is_for_all = !section.starts_with("[HOST=") && !section.starts_with("[PATH=");
        }
        let Some((name, value)) = pair(line) else { continue };
        let label = format!("{file}:{number} {name}");
        if !is_for_all {
            if name.starts_with("session.") {
                import.remark(&label, "is for one host or path only; it was left alone");
            }
        } else if value.contains("${") && name.starts_with("session.") {
            import.fault(&label, "refers to another variable; write its value here");
        } else {
            import.take_ini(&mut ini, name, &label, &value);
        }
    }
    ini.settle(&mut import);
    import.settle_store();
    import.settings
}

/// Reads `name = value`, without quotes and comments.
fn pair(line: &str) -> Option<(&str, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let in_pool = ["php_value[", "php_admin_value[", "php_flag[", "php_admin_flag["];
    let name = in_pool.iter().find_map(|start| name.strip_prefix(start)?.strip_suffix(']')).unwrap_or(name);
    if name.is_empty() || name.starts_with([';', '#', '[']) {
        return None;
    }
    let value = value.trim();
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        // Printed by PHP, a path with levels has no quotes; as a folder, digits alone would make no sense.
        _ if name == "session.save_path" && value.starts_with(|c: char| c.is_ascii_digit()) => value,
        _ => value.split(';').next().unwrap_or_default().trim_end(),
    };
    Some((name, value.into()))
}

/// What follows from several settings.
#[derive(Default)]
struct Ini {
    sid_length: Option<(String, u32)>,
    sid_bits: Option<(String, u32)>,
    memcached_prefix: Option<String>,
    /// Whether Memcached's servers are a ring.
    memcached_ring: Option<bool>,
    /// Whether those of a ring have weights.
    memcached_weights: bool,
}

impl Import {
    fn take_ini(&mut self, ini: &mut Ini, name: &str, label: &str, value: &str) {
        match name {
            "session.save_handler" => self.driver = Some(placed(label, value)),
            "session.save_path" => self.save_path = Some(placed(label, value)),
            "session.name" => self.set("cookie_name", label, value),
            "session.serialize_handler" => self.set("php_format", label, value),
            "session.gc_maxlifetime" => self.set("idle_timeout", label, value),
            "session.cookie_lifetime" => {
                self.set("cookie_lifetime", label, if value == "0" { "off" } else { value });
            }
            "session.cookie_path" => self.set("cookie_path", label, value),
            "session.cookie_domain" if value.is_empty() => {}
            "session.cookie_domain" => self.set("cookie_domain", label, value),
            "session.cookie_samesite" if value.is_empty() => {
                self.remark(label, "is empty: PHP says nothing, and browsers take `Lax`, which is said here");
            }
            "session.cookie_samesite" => self.set("same_site", label, value),
            "session.cookie_partitioned" => {
                self.take_bool("partitioned", label, switch(value), ["false", "true"]);
            }
            "session.cookie_secure" => self.take_secure(label, switch(value)),
            "session.sid_length" => ini.sid_length = self.ini_number(label, value),
            "session.sid_bits_per_character" => ini.sid_bits = self.ini_number(label, value),
            "memcached.sess_prefix" => ini.memcached_prefix = Some(value.into()),
            "memcached.sess_consistent_hash" => ini.memcached_ring = Some(switch(value) == "true"),
            "memcached.sess_consistent_hash_type" => ini.memcached_weights = value == "ketama_weighted",
            "redis.session.compression" if switch(value) != "false" => {
                self.fault(label, "compresses sessions, which is not read here; set it to `none`");
            }
            _ => self.remark_ini(name, label, switch(value)),
        }
    }

    fn ini_number(&mut self, label: &str, value: &str) -> Option<(String, u32)> {
        let number = value.parse().ok();
        if number.is_none() {
            self.fault(label, "is no number");
        }
        number.map(|number| (label.to_owned(), number))
    }

    /// Says what a setting means here that none of ours stands for.
    fn remark_ini(&mut self, name: &str, label: &str, value: &str) {
        let what = match (name, value) {
            ("session.use_strict_mode", "false") => {
                "is off: PHP takes ids that it never made. Here they are strangers', unless \
                 `dangerous_adopt_unknown_ids` says otherwise"
            }
            ("session.cookie_httponly", "false") => "is off; the cookie is always `HttpOnly` here",
            ("session.use_cookies" | "session.use_only_cookies", "false")
            | ("session.use_trans_sid", "true") => {
                "lets ids stand in addresses, where they are not looked for here"
            }
            ("session.upload_progress.enabled", "true") => {
                "is on: PHP writes into the session during uploads; there is no counterpart"
            }
            ("redis.session.locking_enabled", "false") => {
                "is off: PHP's requests then write over each other's sessions, and over those of this library; \
                 switch it on"
            }
            ("memcached.sess_locking", "false") => {
                "is off: PHP's requests then write over each other's sessions, and over those of this library; \
                 switch it on"
            }
            ("session.gc_probability" | "session.gc_divisor", _) => {
                "is not taken over: expired sessions are purged by a clock here"
            }
            ("session.cache_limiter", value) if !["nocache", ""].contains(&value) => {
                "is not taken over: responses with a session are not stored by caches, unless the handler says so"
            }
            ("memcached.sess_number_of_replicas", number) if number.parse() != Ok(0) && number != "false" => {
                "is not taken over: there is one copy of each session here, where PHP looks first"
            }
            (name, _) if is_unknown(name) => "is no setting of PHP's sessions; is it misspelt?",
            _ => return,
        };
        self.remark(label, what);
    }
}

impl Ini {
    fn settle(self, import: &mut Import) {
        let Self { sid_length, sid_bits, memcached_prefix, memcached_ring, memcached_weights } = self;
        if let Some(label) = sid_length.as_ref().or(sid_bits.as_ref()).map(|(label, _)| label.clone()) {
            let length = sid_length.map_or(32, |(_, length)| length);
            let bits = sid_bits.map_or(4, |(_, bits)| bits);
            import.take_ids(&label, length, bits);
        }
        let is_memcached = import.driver.as_ref().is_some_and(|driver| driver.text == "memcached");
        import.memcached_prefix = memcached_prefix.filter(|_| is_memcached);
        import.memcached_spread = match memcached_ring {
            Some(false) => Spread::Modulo,
            _ if memcached_weights => Spread::Weighted,
            _ => Spread::Unweighted,
        };
    }
}

impl Import {
    /// New ids as PHP makes them, if they are random enough; all that PHP can make are taken.
    fn take_ids(&mut self, label: &str, length: u32, bits: u32) {
        let ids = format!("{length}x{bits},22-64x6");
        if length.saturating_mul(bits) < 128 && (22..=64).contains(&length) && (4..=6).contains(&bits) {
            let what =
                "makes ids of less than 128 bits; new ones get 32 characters of 4 bits here, which PHP takes";
            return self.remark(label, what);
        }
        self.set("php_ids", label, &ids);
        // CodeIgniter lengthens them to 160 bits.
        let lengthened = length + (160_u32.saturating_sub(length.saturating_mul(bits))).div_ceil(bits.max(1));
        if lengthened != length && ids.parse::<PhpIds>().is_ok() {
            self.remark(
                label,
                &format!("makes `{lengthened}x{bits}` of CodeIgniter 3, and of 4 before 4.6, which lengthen ids to 160 bits"),
            );
        }
    }
}

/// Reports whether a setting begins as PHP's of sessions do, and is none of those that there have been since PHP 5.3.
fn is_unknown(name: &str) -> bool {
    const KNOWN: [&str; 26] = [
        "auto_start",
        "bug_compat_42",
        "bug_compat_warn",
        "cache_expire",
        "cache_limiter",
        "cookie_httponly",
        "entropy_file",
        "entropy_length",
        "gc_divisor",
        "gc_probability",
        "hash_bits_per_character",
        "hash_function",
        "lazy_write",
        "referer_check",
        "trans_sid_hosts",
        "trans_sid_tags",
        "upload_progress.cleanup",
        "upload_progress.enabled",
        "upload_progress.freq",
        "upload_progress.min_freq",
        "upload_progress.name",
        "upload_progress.prefix",
        "use_cookies",
        "use_only_cookies",
        "use_strict_mode",
        "use_trans_sid",
    ];
    name.strip_prefix("session.").is_some_and(|name| !KNOWN.contains(&name))
}

/// PHP's words for on and off.
fn switch(value: &str) -> &str {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => "true",
        "" | "0" | "off" | "no" | "none" | "false" => "false",
        _ => value,
    }
}
