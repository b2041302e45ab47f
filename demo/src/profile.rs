//! 6. A form that answers with a redirect and a message.
//!
//! Post, redirect, get: the answer to the form is a redirect, and the page after it shows the message. The
//! message is a flash value, so it is there for that page and gone after it.

use askama::Template;
use serde::{Deserialize, Serialize};
use steadfast::Key;

use crate::form::Posted;
use crate::page::{Answer, Page, redirect_with, render};
use crate::sign_in::Member;

/// What the form sends, and the session keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    name: String,
    ship: String,
    about: String,
}

const PROFILE: Key<Profile> = Key::new("profile");

/// What was typed and could not be saved. It is flash, too: the form shows it again, once.
const DRAFT: Key<Profile> = Key::new("profile.draft");

/// Longest field, in bytes.
const MAX_FIELD: usize = 400;

#[derive(Template)]
#[template(path = "profile.html")]
struct Show {
    page: Page,
    profile: Profile,
    is_draft: bool,
}

/// Shows the form.
pub(crate) async fn show(Member { session, user }: Member) -> Answer {
    let draft = session.flash_get(DRAFT)?;
    let is_draft = draft.is_some();
    let profile = match draft {
        Some(draft) => draft,
        None => session
            .get(PROFILE)?
            .unwrap_or_else(|| Profile { name: user.name.to_owned(), ..Profile::default() }),
    };
    render(&Show { page: Page::new(&session, "/profile")?, profile, is_draft })
}

/// Saves it.
pub(crate) async fn save(Member { session, .. }: Member, Posted(profile): Posted<Profile>) -> Answer {
    let Profile { name, ship, about } = &profile;
    let complaint = match () {
        () if name.trim().is_empty() => Some("A name is needed."),
        () if [name, ship, about].iter().any(|field| field.len() > MAX_FIELD) => Some("That is too long."),
        () => None,
    };
    if let Some(complaint) = complaint {
        session.flash(DRAFT, profile)?;
        return redirect_with(&session, complaint, "/profile");
    }
    session.set(PROFILE, profile)?;
    redirect_with(&session, "Your profile is saved.", "/profile")
}
