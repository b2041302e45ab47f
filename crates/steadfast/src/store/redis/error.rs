//! What failures mean for sessions, and what to do about them.
//!
//! A server's own words can quote a command, and so a key: of its answers only the code goes into an error.

use std::error::Error as StdError;
use std::sync::Arc;

use redis::{ErrorKind as ClientErrorKind, RedisError, ServerErrorKind};

use crate::error::{Error, ErrorKind};

/// The driver's name.
pub(in crate::store) const DRIVER: &str = "redis";

/// Why a call failed. Small and copied, because one failed connection fails many calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Fault {
    /// No connection, or it ended while an answer was awaited.
    Disconnected(std::io::ErrorKind),
    /// The connection was not there in time.
    ConnectTimedOut,
    /// No answer in time.
    TimedOut,
    /// No sentinel knows the master.
    NoMaster,
    /// What answers as the master is a replica.
    NotMaster,
    /// The server refused, with a code that this driver knows.
    Refused(Refusal),
    /// The server refused, with another code.
    Unknown,
    /// The answer is not what the command is answered with.
    Nonsense,
    /// The certificate, the key or the provider of TLS.
    Tls,
    /// A record of a newer version of this library.
    NewerFormat,
    /// A record that this driver never wrote.
    Damaged,
    /// Fewer replicas than asked for have the write.
    NotReplicated,
    /// The master that has answered lacks a write that another one acknowledged.
    WriteLost,
}

/// What a server refuses with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Refusal {
    /// Wrong password, or none where one is asked for.
    Login,
    /// The user may not do this.
    Permission,
    /// The number of the database.
    Database,
    /// The memory is full.
    Memory,
    /// It reads its data from the disk.
    Loading,
    /// A script runs and runs.
    Busy,
    /// It can't save to the disk, and so takes no writes.
    Misconfigured,
    /// It is a replica.
    ReadOnly,
    /// A part of the cluster has no master.
    ClusterDown,
    /// Too few replicas are connected (`min-replicas-to-write`).
    Replicas,
    /// A script that it does not know.
    NoScript,
    /// A key of another kind.
    WrongType,
    /// It has no RESP3.
    TooOld,
    /// It takes no more connections.
    Connections,
}

impl Fault {
    /// Reads an error of the client library.
    pub(super) fn of(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        match error.kind() {
            ClientErrorKind::Io => match io_kind(error) {
                // What the other side sent is no TLS, or its certificate is not to be trusted.
                std::io::ErrorKind::InvalidData => Self::Tls,
                kind => Self::Disconnected(kind),
            },
            ClientErrorKind::AuthenticationFailed => Self::Refused(Refusal::Login),
            ClientErrorKind::RESP3NotSupported => Self::Refused(Refusal::TooOld),
            ClientErrorKind::ClusterConnectionNotFound => {
                Self::Disconnected(std::io::ErrorKind::NotConnected)
            }
            ClientErrorKind::Parse | ClientErrorKind::UnexpectedReturnType => Self::Nonsense,
            ClientErrorKind::InvalidClientConfig | ClientErrorKind::Client => Self::Tls,
            _ => Self::refused(error),
        }
    }

    fn refused(error: &RedisError) -> Self {
        let detail = error.detail().unwrap_or_default();
        let refusal = match (error.kind(), error.code().unwrap_or_default()) {
            (ClientErrorKind::Server(ServerErrorKind::NoScript), _) => Refusal::NoScript,
            (ClientErrorKind::Server(ServerErrorKind::ReadOnly), _) => Refusal::ReadOnly,
            (ClientErrorKind::Server(ServerErrorKind::NoPerm), _) => Refusal::Permission,
            (ClientErrorKind::Server(ServerErrorKind::BusyLoading), _) => Refusal::Loading,
            (ClientErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown), _) => {
                Refusal::ClusterDown
            }
            (_, "NOAUTH" | "WRONGPASS") => Refusal::Login,
            (_, "NOPROTO") => Refusal::TooOld,
            (_, "OOM") => Refusal::Memory,
            (_, "MISCONF") => Refusal::Misconfigured,
            (_, "BUSY") => Refusal::Busy,
            (_, "NOREPLICAS") => Refusal::Replicas,
            (_, "WRONGTYPE") => Refusal::WrongType,
            // Servers before 7.0 wrap what a script's command was refused with.
            _ => match detail {
                d if d.contains("OOM command not allowed") => Refusal::Memory,
                d if d.contains("WRONGTYPE") => Refusal::WrongType,
                d if d.contains("READONLY") => Refusal::ReadOnly,
                d if d.contains("MISCONF") => Refusal::Misconfigured,
                d if d.contains("NOREPLICAS") => Refusal::Replicas,
                d if d.contains("ACL failure in script") => Refusal::Permission,
                d if d.contains("DB index") || d.contains("SELECT") => Refusal::Database,
                d if d.contains("max number of clients") => Refusal::Connections,
                _ => return Self::Unknown,
            },
        };
        Self::Refused(refusal)
    }

    /// Reports whether the connection is of no use any more.
    pub(super) fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::Disconnected(_) | Self::Nonsense | Self::NotMaster | Self::Refused(Refusal::ReadOnly)
        )
    }

    /// Explains why the first connection failed: some answers are then about a setting, not about the moment.
    pub(super) fn at_start(self) -> Error {
        match self {
            Self::Refused(Refusal::Login | Refusal::Permission | Refusal::Database | Refusal::TooOld)
            | Self::Tls => self.explained(ErrorKind::InvalidConfig),
            other => other.into(),
        }
    }

    fn explained(self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, self.message()).in_driver(DRIVER);
        match self {
            Self::Disconnected(kind) => error.with_source(std::io::Error::from(kind)),
            _ => error,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::ConnectTimedOut | Self::TimedOut => ErrorKind::TimedOut,
            Self::NewerFormat => ErrorKind::NewerFormat,
            Self::Damaged | Self::Refused(Refusal::WrongType) => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Disconnected(_) => "cannot reach the server, or it closed the connection",
            Self::ConnectTimedOut => {
                "the server could not be reached within `connect_timeout`: is it running, and is the network \
                 between?"
            }
            Self::TimedOut => {
                "the server did not answer within `response_timeout`: look for slow commands (SLOWLOG), \
                 swapping and a saturated processor"
            }
            Self::NoMaster => {
                "no sentinel answered with the address of the master: check their addresses and the master's \
                 name"
            }
            Self::NotMaster => "the server is a replica: a failover is under way, or the address is wrong",
            Self::Refused(refusal) => refusal.message(),
            Self::Unknown => "the server refused the command",
            Self::Nonsense => "the answer is not one of Redis: is something else listening there?",
            Self::Tls => {
                "cannot set up TLS: check the certificate of the server, its name, and `tls_ca`; TLS needs the \
                 feature `tls`"
            }
            Self::NewerFormat => {
                "the record was written by a newer version of Steadfast and is left as it is: upgrade this node \
                 first"
            }
            Self::Damaged => "the record is damaged or not one of Steadfast",
            Self::NotReplicated => {
                "fewer replicas than `wait_replicas` have acknowledged the write within `wait_timeout`: it is \
                 stored on the master, and may be lost in a failover"
            }
            Self::WriteLost => {
                "the master does not have the write that was acknowledged: it was lost in a failover, or \
                 somebody has written since"
            }
        }
    }
}

impl Refusal {
    fn message(self) -> &'static str {
        match self {
            Self::Login => "the server refused the login: check `user` and `password`",
            Self::Permission => {
                "the user of the server may not do this: give it the ACL rule of the driver's page, for the keys \
                 and channels of the prefix"
            }
            Self::Database => "the server has no such database: see its setting `databases`, usually 0 to 15",
            Self::Memory => {
                "the server's memory is full: raise `maxmemory` or make room; nothing was written, and reading \
                 and ending sessions goes on"
            }
            Self::Loading => "the server is loading its data from the disk: it answers when it has finished",
            Self::Busy => "the server is busy with somebody's script: see SCRIPT KILL",
            Self::Misconfigured => {
                "the server can't save to its disk and takes no writes: see its log, free or mend the disk"
            }
            Self::ReadOnly => "the server is a replica: a failover is under way, or the address is wrong",
            Self::ClusterDown => "a part of the cluster has no master: see CLUSTER INFO",
            Self::Replicas => {
                "the server takes no writes because too few replicas are connected: see `min-replicas-to-write`"
            }
            Self::NoScript => "the server forgot a script that it has just been sent",
            Self::WrongType => "there is a key of another kind in the place of the record",
            Self::TooOld => "the server has no RESP3: Redis 6.2 or later, or Valkey, is needed",
            Self::Connections => "the server takes no more connections: raise `maxclients`",
        }
    }
}

/// Returns what the operating system said, as far as the client library tells.
fn io_kind(error: &RedisError) -> std::io::ErrorKind {
    // The library shares its causes, and shows what it shares them by.
    let cause = error.source().and_then(|source| source.downcast_ref::<Arc<dyn StdError + Send + Sync>>());
    let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.map_or(std::io::ErrorKind::ConnectionReset, std::io::Error::kind)
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.explained(fault.kind())
    }
}

/// Makes an error about the settings.
pub(in crate::store) fn config_fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message.into()).in_driver(DRIVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, refusal: Refusal) {
        let error = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error");
        assert_eq!(Fault::of(&error), Fault::Refused(refusal), "{answer}");
    }

    #[test]
    fn every_refusal_of_the_server_is_known() {
        check("NOAUTH Authentication required.", Refusal::Login);
        check("WRONGPASS invalid username-password pair or user is disabled.", Refusal::Login);
        check("NOPERM this user has no permissions to run the 'evalsha' command", Refusal::Permission);
        check("ERR DB index is out of range", Refusal::Database);
        check("OOM command not allowed when used memory > 'maxmemory'.", Refusal::Memory);
        check("ERR Error running script: @user_script:1: OOM command not allowed when", Refusal::Memory);
        check("LOADING Redis is loading the dataset in memory", Refusal::Loading);
        check("BUSY Redis is busy running a script.", Refusal::Busy);
        check("MISCONF Redis is configured to save RDB snapshots", Refusal::Misconfigured);
        check("READONLY You can't write against a read only replica.", Refusal::ReadOnly);
        check("CLUSTERDOWN The cluster is down", Refusal::ClusterDown);
        check("NOREPLICAS Not enough good replicas to write.", Refusal::Replicas);
        check("NOSCRIPT No matching script.", Refusal::NoScript);
        check("WRONGTYPE Operation against a key", Refusal::WrongType);
        check("NOPROTO unsupported protocol version", Refusal::TooOld);
        check("ERR max number of clients reached", Refusal::Connections);
    }

    #[test]
    fn what_the_operating_system_said_is_kept() {
        use std::io::ErrorKind::{ConnectionRefused, InvalidData, TimedOut};
        let of = |kind: std::io::ErrorKind| Fault::of(&RedisError::from(std::io::Error::from(kind)));
        assert_eq!(of(ConnectionRefused), Fault::Disconnected(ConnectionRefused));
        assert_eq!(of(TimedOut), Fault::TimedOut);
        assert_eq!(of(InvalidData), Fault::Tls);
    }

    #[test]
    fn the_words_of_the_server_stay_out_of_the_error() {
        let error = redis::parse_redis_value(
            b"-ERR unknown command `EVALSHA`, with args beginning with: `secret`\r\n",
        )
        .and_then(redis::Value::extract_error)
        .expect_err("an error");
        let error = Error::from(Fault::of(&error));
        assert!(!format!("{error:?} {}", crate::error::chain(&error)).contains("secret"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
