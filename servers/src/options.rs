//! What a server is started with beside its defaults.

/// Settings and files for one server.
///
/// A setting is what the server's own configuration knows: a line of `redis.conf`, a `name=value` of
/// PostgreSQL or MariaDB, an argument of Memcached. `{folder}` in it stands for the server's folder.
///
/// ```
/// use steadfast_servers::Options;
///
/// let full = Options::new().set("maxmemory 3mb").set("maxmemory-policy noeviction");
/// let tls = Options::new().file("key.pem", "…").set("ssl=on").set("ssl_key_file={folder}/key.pem");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    pub(crate) settings: Vec<String>,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Options {
    /// Returns options that leave all as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting, which wins over a default of the same name.
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Puts a file into the server's folder, readable by the server only.
    pub fn file(mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), contents.into()));
        self
    }
}
