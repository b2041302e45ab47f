//! Opens the store that a connection string names: `driver:path?option=value&option=value`.
//!
//! Every driver has a file of its own here, which turns the string into the driver's options.

#[cfg(feature = "network")]
mod address;
mod embedded;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "mysql")]
mod mysql;
mod parse;
#[cfg(all(feature = "php", any(feature = "mysql", feature = "postgres")))]
mod php;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

use crate::error::{Error, Result};
use crate::store::SharedStore;

use super::SessionsBuilder;
use parse::{Dsn, invalid};

/// Drivers that other versions or other features of this library bring, to tell a missing feature from a
/// typing error.
const ELSEWHERE: [&str; 9] =
    ["files", "sqlite", "redis", "rediss", "postgres", "mysql", "mariadb", "memcached", "cookie"];

/// Opens the store that a connection string names.
#[cfg_attr(
    not(any(feature = "memcached", feature = "mysql", feature = "postgres", feature = "redis")),
    expect(clippy::unused_async, reason = "drivers of servers connect; the embedded ones don't wait")
)]
pub(super) async fn open(dsn: &str, builder: &SessionsBuilder) -> Result<SharedStore> {
    let dsn = Dsn::parse(dsn)?;
    match dsn.driver {
        "memory" => embedded::memory(dsn, builder),
        #[cfg(all(unix, feature = "files"))]
        "files" => embedded::files(dsn, builder),
        #[cfg(feature = "sqlite")]
        "sqlite" => embedded::sqlite(dsn, builder),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+unix" | "redis+sentinel" | "rediss+sentinel" | "redis+cluster"
        | "rediss+cluster" => redis::redis(dsn, builder).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres::postgres(dsn, builder).await,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => mysql::mysql(dsn, builder).await,
        #[cfg(feature = "memcached")]
        "memcached" | "memcached+unix" => memcached::open(dsn, builder).await,
        other => Err(unknown(other)),
    }
}

/// Reports whether a connection string asks for no store at all: `cookie:`.
#[cfg(feature = "cookie")]
pub(super) fn is_carried(dsn: &str) -> Result<bool> {
    let dsn = Dsn::parse(dsn)?;
    if dsn.driver != "cookie" {
        return Ok(false);
    }
    dsn.finish("cookie:").map(|()| true)
}

fn unknown(driver: &str) -> Error {
    if ELSEWHERE
        .iter()
        .any(|known| driver.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('+')))
    {
        return invalid(format!(
            "the driver `{driver}` is not part of this build; enable the feature of its name, or use a version that has it"
        ));
    }
    invalid(format!(
        "there is no driver `{}`; memory:, files: and sqlite: are the embedded ones",
        driver.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[track_caller]
    fn check(dsn: &str, says: &str) {
        let builder = SessionsBuilder::default();
        let opening = std::pin::pin!(open(dsn, &builder));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(opened) = std::future::Future::poll(opening, &mut context) else {
            panic!("what is wrong with a string is told without waiting for a server");
        };
        let error = opened.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn a_string_that_is_not_understood_says_what_to_do() {
        check("", "begins with a driver and a colon");
        check("writable/sessions", "begins with a driver and a colon");
        check("file:x", "there is no driver `file`");
        #[cfg(not(feature = "redis"))]
        check("redis+sentinel://h", "not part of this build");
        #[cfg(feature = "redis")]
        check("redis+sentinel://h", "the name of the master follows the hosts");
        check("memory:x", "nothing follows the colon");
        check("memory:?durability=fsync", "there is no option `durability`");
    }

    #[cfg(all(unix, feature = "files"))]
    #[test]
    fn all_faults_are_reported_at_once() {
        check(
            "files:?io=fast&sync=1",
            "`io` is one of: inline, pool; a path is missing after the colon; there is no option `sync`",
        );
    }
}
