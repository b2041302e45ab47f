//! The settings that choose one of several ways.

/// How requests of one session that overlap share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// One after another, as in CodeIgniter: each handler waits until the one before it has finished. The
    /// default.
    #[default]
    Exclusive,
    /// At the same time: what each one did is joined key by key when it commits. A closure given to
    /// `update` may then run several times, and the last `set` of a key wins.
    Merge,
}

impl Concurrency {
    /// Returns the mode's name, as in settings files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Merge => "merge",
        }
    }
}

/// How values are turned into bytes. A record says which way its values were written, so both are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Codec {
    /// MessagePack: compact and quick, with real bytes. The default.
    #[default]
    MessagePack,
    /// JSON: readable by people and by other languages.
    #[cfg(feature = "json")]
    Json,
}

/// What becomes of a session's changes when the handler answers with a status of 500 or above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnServerError {
    /// They are committed like any other's: the handler returned, so it meant what it did. The default.
    #[default]
    Commit,
    /// They are dropped, as if the handler had not touched the session.
    Discard,
}

/// How much of a client's address has to stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpMatch {
    /// All of it. Signs people out whose network changes: phones, and homes with IPv6 privacy addresses.
    Exact,
    /// The first bits, so that a session survives a change of address inside one network.
    Prefix {
        /// How many bits of an IPv4 address, at most 32. `24` is a usual choice.
        v4: u8,
        /// How many bits of an IPv6 address, at most 128. `64` is one network of a home or an office.
        v6: u8,
    },
}

/// Whose cookies, names, locks and bytes the sessions have.
///
/// `docs/layouts/README.md` says what each layout shares, and what it has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// The library's own: the default, and the only one with every guarantee.
    #[default]
    Native,
    /// Those of CodeIgniter 4 since 4.2.11, which may go on working on the same store.
    #[cfg(feature = "php")]
    CodeIgniter4,
    /// Those of CodeIgniter 3, and of 4 before 4.2.11, which may go on working on the same store.
    #[cfg(feature = "php")]
    CodeIgniter3,
    /// Those of PHP's own session handlers: its files, and the ones of phpredis and php-memcached.
    #[cfg(feature = "php")]
    Php,
}

impl Layout {
    /// Returns the layout's name, as in settings files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            #[cfg(feature = "php")]
            Self::CodeIgniter4 => "ci4",
            #[cfg(feature = "php")]
            Self::CodeIgniter3 => "ci3",
            #[cfg(feature = "php")]
            Self::Php => "php",
        }
    }
}

/// How PHP writes a session: its setting `session.serialize_handler`.
#[cfg(feature = "php")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PhpFormat {
    /// `php`: `key|value` after `key|value`. PHP's default.
    #[default]
    Php,
    /// `php_serialize`: one array.
    PhpSerialize,
    /// `php_binary`: the length of the key, the key, the value.
    PhpBinary,
}

#[cfg(feature = "php")]
impl PhpFormat {
    /// Returns the format's name, as PHP has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Php => "php",
            Self::PhpSerialize => "php_serialize",
            Self::PhpBinary => "php_binary",
        }
    }
}
