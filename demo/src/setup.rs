//! 1. Sessions are set up once: a policy, and a store for them.

use steadfast::{Policy, Result, Sessions};

/// Where the demo keeps its sessions: in files below the folder it is started in.
///
/// They outlive the server. Stop it, start it again, reload the page: you are still signed in.
pub const STORE: &str = "files:writable/sessions";

/// Returns how sessions of this site behave. Whatever is not said here is a default, and the defaults are
/// meant for a real site.
///
/// # Errors
///
/// If settings contradict each other: all of them are named at once.
pub fn policy() -> Result<Policy> {
    Policy::builder()
        .cookie_name("steadfast-demo")
        // A REAL SITE MUST NOT DO THIS. The default is a cookie named `__Host-session` that browsers send
        // over HTTPS alone. This demo is plain HTTP on 127.0.0.1, where Chromium would accept that cookie,
        // but Safari would not.
        .dangerous_insecure_cookie()
        .build()
}

/// Opens the store, and puts the sessions together.
///
/// # Errors
///
/// If the store can't be opened, or the policy is at fault.
pub async fn connect(store: &str) -> Result<Sessions> {
    Sessions::builder().policy(policy()?).connect(store).await
}
