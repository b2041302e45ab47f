//! The routes: what each does with a session, whatever layer and framework it comes from.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Profile;

/// The session of a request that only reads.
#[expect(
    async_fn_in_trait,
    reason = "each framework calls it with a type of its own, which is Send where it has to be"
)]
pub trait View {
    type Error: fmt::Display;

    /// Returns the number under a key.
    async fn number(&mut self, key: &str) -> Result<Option<u64>, Self::Error>;

    /// Returns the status of a response for a failure that a handler passes on.
    fn status(_error: &Self::Error) -> u16 {
        500
    }
}

/// The session of a request.
#[expect(async_fn_in_trait, reason = "as above")]
pub trait Visit: View {
    /// Sets a number.
    async fn set(&mut self, key: &str, number: u64) -> Result<(), Self::Error>;

    /// Signs in: a new id, as the layer has it, and one value for each field of the profile.
    async fn sign_in(&mut self, profile: Profile) -> Result<(), Self::Error>;

    /// Signs out: the session ends.
    async fn sign_out(&mut self) -> Result<(), Self::Error>;

    /// Gives the session a new id, as for a change of privilege.
    async fn rotate(&mut self) -> Result<(), Self::Error>;

    /// Adds one to a number, with a pause between reading and writing; returns what it is then.
    async fn add_one(&mut self, key: &str, pause: Duration) -> Result<u64, Self::Error> {
        let n = self.number(key).await?.unwrap_or(0) + 1;
        sleep(pause).await;
        self.set(key, n).await?;
        Ok(n)
    }
}

/// The routes that take a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Get,
    Set,
    Incr,
    Rotate,
    Login,
    Logout,
    Whoami,
    Panic,
}

impl Route {
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::Set,
        Self::Incr,
        Self::Rotate,
        Self::Login,
        Self::Logout,
        Self::Whoami,
        Self::Panic,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Get => "/get",
            Self::Set => "/set",
            Self::Incr => "/incr",
            Self::Rotate => "/rotate",
            Self::Login => "/login",
            Self::Logout => "/logout",
            Self::Whoami => "/whoami",
            Self::Panic => "/panic",
        }
    }

    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }
}

/// The body of `/none`.
pub const NONE: &str = r#"{"ok":true}"#;

/// A response: its status and its body, which is JSON.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    pub fn of(body: &impl Serialize) -> Self {
        Self { status: 200, body: serde_json::to_string(body).expect("numbers and names are JSON") }
    }
}

/// Answers a request with its session.
///
/// `sleep=MS` of the query waits after the session was read and before it is written; `k` is a key, `n` if
/// there is none; `v` is a number.
pub async fn answer<V: Visit>(route: Route, query: Option<&str>, visit: &mut V) -> Reply {
    let query = Query::parse(query.unwrap_or_default());
    match do_it(route, query, visit).await {
        Ok(reply) => reply,
        Err(error) => failure::<V>(&error),
    }
}

async fn do_it<V: Visit>(route: Route, query: Query<'_>, visit: &mut V) -> Result<Reply, V::Error> {
    let Query { key, number, pause } = query;
    Ok(match route {
        Route::Get => return read(key, visit).await,
        Route::Set => {
            visit.number(key).await?;
            sleep(pause).await;
            visit.set(key, number).await?;
            Reply::of(&Done { ok: true })
        }
        Route::Incr => Reply::of(&Counted { n: visit.add_one(key, pause).await? }),
        Route::Rotate => {
            visit.number(key).await?;
            sleep(pause).await;
            visit.rotate().await?;
            Reply::of(&Done { ok: true })
        }
        Route::Login => {
            visit.sign_in(crate::PROFILE).await?;
            Reply::of(&Who { user: Some(crate::PROFILE.user_id) })
        }
        Route::Logout => {
            visit.sign_out().await?;
            Reply::of(&Done { ok: true })
        }
        Route::Whoami => {
            let user = visit.number("user_id").await?;
            sleep(pause).await;
            Reply::of(&Who { user })
        }
        Route::Panic => {
            visit.set(key, number).await?;
            panic!("as asked")
        }
    })
}

/// Answers `/get` with a session that only reads.
pub async fn answer_view<V: View>(query: Option<&str>, view: &mut V) -> Reply {
    let key = Query::parse(query.unwrap_or_default()).key;
    read(key, view).await.unwrap_or_else(|error| failure::<V>(&error))
}

async fn read<V: View>(key: &str, view: &mut V) -> Result<Reply, V::Error> {
    Ok(Reply::of(&Read { k: key, v: view.number(key).await? }))
}

fn failure<V: View>(error: &V::Error) -> Reply {
    let body = serde_json::to_string(&Failed { error: error.to_string() });
    Reply { status: V::status(error), body: body.expect("a text is JSON") }
}

/// Waits, where there is something to wait for.
pub async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

struct Query<'a> {
    key: &'a str,
    number: u64,
    pause: Duration,
}

impl<'a> Query<'a> {
    /// Reads what it knows; the benchmark sends nothing else.
    fn parse(query: &'a str) -> Self {
        let mut parsed = Self { key: "n", number: 0, pause: Duration::ZERO };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "k" => parsed.key = value,
                "v" => parsed.number = value.parse().unwrap_or(0),
                "sleep" => parsed.pause = Duration::from_millis(value.parse().unwrap_or(0)),
                _ => {}
            }
        }
        parsed
    }
}

#[derive(Serialize)]
struct Done {
    ok: bool,
}

#[derive(Serialize)]
struct Counted {
    n: u64,
}

#[derive(Serialize)]
struct Read<'a> {
    k: &'a str,
    v: Option<u64>,
}

#[derive(Serialize)]
struct Who {
    user: Option<u64>,
}

#[derive(Serialize)]
struct Failed {
    error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_where_there_is_one() {
        let Query { key, number, pause } = Query::parse("");
        assert_eq!((key, number, pause), ("n", 0, Duration::ZERO));
        let Query { key, number, pause } = Query::parse("k=a&v=7&sleep=20");
        assert_eq!((key, number, pause), ("a", 7, Duration::from_millis(20)));
    }
}
