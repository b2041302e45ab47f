//! 9. Where one is signed in, and ending it there.

use askama::Template;
use axum::Extension;
use serde::Deserialize;
use steadfast::store::Coverage;
use steadfast::{SessionInfo, Sessions};

use crate::form::{JustAButton, Posted};
use crate::page::{Answer, Page, ago, redirect_with, render};
use crate::sign_in::Member;

/// A row of the page.
struct Device {
    info: SessionInfo,
    is_this_one: bool,
}

impl Device {
    fn name(&self) -> String {
        let agent = self.info.user_agent.as_str();
        let one_of = |names: &[(&str, &'static str)], otherwise| {
            let named = names.iter().find(|(mark, _)| agent.contains(mark));
            named.map_or(otherwise, |&(_, name)| name)
        };
        // Each browser claims to be those after it.
        let browsers = [
            ("Firefox", "Firefox"),
            ("Edg/", "Edge"),
            ("Chrome", "Chromium"),
            ("Safari", "Safari"),
            ("curl", "curl"),
        ];
        let systems = [
            ("Android", "Android"),
            ("iPhone", "iPhone"),
            ("Windows", "Windows"),
            ("Mac OS", "macOS"),
            ("Linux", "Linux"),
        ];
        format!("{} on {}", one_of(&browsers, "A browser"), one_of(&systems, "some device"))
    }

    fn address(&self) -> String {
        self.info.ip.map_or_else(|| "unknown address".to_owned(), |ip| ip.to_string())
    }

    fn since(&self) -> String {
        ago(self.info.created_at)
    }

    fn last_used(&self) -> String {
        ago(self.info.last_active)
    }
}

#[derive(Template)]
#[template(path = "devices.html")]
struct Show {
    page: Page,
    devices: Vec<Device>,
}

/// Lists the sessions of the user.
pub(crate) async fn show(sessions: Extension<Sessions>, Member { session, user }: Member) -> Answer {
    let infos = sessions.sessions_of(user.id).await?;
    let devices = infos.into_iter().map(|info| Device { is_this_one: info.is(&session), info }).collect();
    render(&Show { page: Page::new(&session, "/devices")?, devices })
}

/// What the button of a row sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    /// The 8 digits that stand for a session in lists. They open nothing.
    tag: String,
}

/// Signs one device out.
pub(crate) async fn sign_out_one(
    sessions: Extension<Sessions>,
    Member { session, user }: Member,
    Posted(Which { tag }): Posted<Which>,
) -> Answer {
    // It is looked for among the user's own sessions, so nobody can end somebody else's.
    let infos = sessions.sessions_of(user.id).await?;
    let notice = match infos.iter().find(|info| info.tag == tag && !info.is(&session)) {
        Some(info) if sessions.revoke_one(info).await? => "That device is signed out.",
        _ => "That device was signed out already.",
    };
    redirect_with(&session, notice, "/devices")
}

/// Signs all other devices out.
pub(crate) async fn sign_out_others(
    sessions: Extension<Sessions>,
    Member { session, .. }: Member,
    _: Posted<JustAButton>,
) -> Answer {
    // When it returns they are dead, and no request of theirs that is still running brings them back.
    let revoked = sessions.revoke_others(&session).await?;
    let mut notice = match revoked.ended {
        0 => "There was no other device.".to_owned(),
        1 => "One other device is signed out.".to_owned(),
        n => format!("{n} other devices are signed out."),
    };
    // A store that may forget who has which session says so, and so do we.
    if revoked.coverage == Coverage::BestEffort {
        notice.push_str(" There may be others that the store has forgotten.");
    }
    redirect_with(&session, &notice, "/devices")
}
