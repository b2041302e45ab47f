//! Who the session belongs to: rotation, sign-in, sign-out, the user's sessions, CSRF tokens.

use serde_json::{Value, json};
use steadfast::{ErrorKind, Session, SessionInfo};

use super::open::Open;
use super::{Node, routes};
use crate::answers::{Answer, Fault, answer, ok, seconds};

/// What `/login` sets beside the name: the same for everybody.
const USER_ID: u32 = 7;
const ROLES: [&str; 2] = ["editor", "user"];

routes! {
    "/regenerate" => regenerate,
    "/rotate" => rotate,
    "/login" => login,
    "/logout" => logout,
    "/whoami" => whoami,
    "/sessions" => list,
    "/revoke_others" => revoke_others,
    "/revoke_all" => revoke_all,
    "/destroy" => destroy,
    "/destroythenset" => destroy_then_set,
    "/close" => close,
    "/csrf" => csrf,
    "/verify" => verify,
}

/// Where CodeIgniter would destroy the old record, the session moves to a new one.
async fn regenerate(open: Open) -> Answer {
    open.sleep().await?;
    if open.query.is_on("destroy") {
        open.session.rotate()?;
    } else {
        open.session.rotate_secret()?;
    }
    ok()
}

async fn rotate(open: Open) -> Answer {
    open.sleep().await?;
    open.session.rotate()?;
    ok()
}

async fn login(open: Open) -> Answer {
    open.sleep().await?;
    let Open { session, query, .. } = open;
    let user = query.text("u").unwrap_or("alice");
    session.login(user)?;
    session.set("user_id", USER_ID)?;
    session.set("user", user)?;
    session.set("roles", ROLES)?;
    session.set("logged_in", true)?;
    answer(json!({ "user": session.user() }))
}

async fn logout(open: Open) -> Answer {
    open.sleep().await?;
    open.session.logout()?;
    answer(json!({ "user": open.session.user() }))
}

async fn whoami(open: Open) -> Answer {
    open.sleep().await?;
    answer(json!({ "user": open.session.user() }))
}

async fn list(node: Node, open: Open) -> Answer {
    open.sleep().await?;
    let infos = match open.session.user() {
        Some(user) => node.sessions.sessions_of(&user).await?.to_vec(),
        None => Vec::new(),
    };
    let sessions: Vec<Value> = infos.iter().map(|info| shown(info, &open.session)).collect();
    answer(json!({ "sessions": sessions }))
}

fn shown(info: &SessionInfo, session: &Session) -> Value {
    json!({
        "tag": info.tag,
        "created_at": seconds(info.created_at),
        "last_active": seconds(info.last_active),
        "ip": info.ip.map(|ip| ip.to_string()),
        "user_agent": info.user_agent,
        "current": info.is(session),
    })
}

async fn revoke_others(node: Node, open: Open) -> Answer {
    open.sleep().await?;
    answer(json!({ "revoked": node.sessions.revoke_others(&open.session).await?.ended }))
}

async fn revoke_all(node: Node, open: Open) -> Answer {
    open.sleep().await?;
    let revoked = match open.session.user() {
        Some(user) => node.sessions.revoke(&user).await?.ended,
        None => 0,
    };
    answer(json!({ "revoked": revoked }))
}

async fn destroy(open: Open) -> Answer {
    open.sleep().await?;
    open.session.destroy()?;
    ok()
}

async fn destroy_then_set(open: Open) -> Answer {
    open.sleep().await?;
    open.session.destroy()?;
    open.session.set("late", 1)?;
    ok()
}

async fn close(open: Open) -> Answer {
    let session = &open.session;
    session.set("before_close", true)?;
    session.close().await?;
    let late = session.set("after_close", true).err();
    open.sleep().await?;
    answer(json!({ "late_write": late.map(|error| error.kind().as_str()) }))
}

async fn csrf(open: Open) -> Answer {
    open.sleep().await?;
    answer(json!({ "token": open.session.csrf_token()? }))
}

async fn verify(open: Open) -> Answer {
    let token = open.query.text("token").ok_or_else(|| Fault::parameter("`token` is missing"))?;
    answer(json!({ "valid": open.session.verify_csrf(token) }))
}

/// Says that there is no session to do something with.
pub(super) fn no_session() -> Fault {
    steadfast::Error::new(ErrorKind::Missing, "there is no session").into()
}
