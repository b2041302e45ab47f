//! Sessions that are bound to an address or a user agent.

use std::net::SocketAddr;

use http::Request;
use steadfast::{Anomaly, EventKind, IpMatch, ProxyHeader, Session};

use crate::app::{Adaptor, on_every_adaptor};
use crate::site::{COOKIE, Site, Visitor};

on_every_adaptor! {
    a_session_is_bound_to_nothing_by_default
    a_session_bound_to_an_address_opens_from_there_only
    a_session_bound_to_a_network_opens_from_all_of_it
    a_binding_goes_on_with_a_sign_in_and_over_every_mode
    binding_to_an_address_needs_one
    a_session_bound_to_a_user_agent_opens_with_it_only
    a_trusted_proxy_says_whom_it_speaks_for
}

fn from(visitor: &Visitor, ip: &str) -> Visitor {
    let peer = SocketAddr::new(ip.parse().unwrap(), 4_000);
    Visitor::of(visitor.browser.clone().from_peer(peer))
}

async fn at_home(site: &Site) -> Visitor {
    let mut visitor = from(&site.visitor(), "192.0.2.1");
    visitor.page(|s| s.set("a", 1)).await;
    visitor
}

async fn opens(visitor: &Visitor) -> bool {
    visitor.clone().page(|s| s.get::<u32>("a")).await.is_some()
}

async fn a_session_is_bound_to_nothing_by_default(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p);
    let visitor = at_home(&site).await;
    assert!(opens(&from(&visitor, "203.0.113.9")).await);
}

async fn a_session_bound_to_an_address_opens_from_there_only(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.match_ip(IpMatch::Exact));
    let visitor = at_home(&site).await;
    let elsewhere = from(&visitor, "192.0.2.2");
    assert!(!opens(&elsewhere).await);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::OtherAddress)), 1);
    let reply = elsewhere.clone().reply(|s| s.destroy()).await;
    assert_eq!(reply.cookie(COOKIE), None, "the cookie stays where it belongs");
    assert!(opens(&visitor).await);
}

async fn a_session_bound_to_a_network_opens_from_all_of_it(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.match_ip(IpMatch::Prefix { v4: 24, v6: 64 }));
    let visitor = at_home(&site).await;
    assert!(opens(&from(&visitor, "192.0.2.200")).await);
    assert!(!opens(&from(&visitor, "192.0.3.1")).await);
    assert!(!opens(&from(&visitor, "2001:db8::1")).await);
}

async fn a_binding_goes_on_with_a_sign_in_and_over_every_mode(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.match_ip(IpMatch::Exact));
    let mut visitor = at_home(&site).await;
    visitor.page(|s| s.login("alice")).await;
    let mut elsewhere = from(&visitor, "192.0.2.2");
    assert_eq!(elsewhere.page(|s| Ok(s.user())).await, None);
    assert_eq!(elsewhere.merge(|s| Ok(s.user())).await, None);
    assert_eq!(elsewhere.view(|s| Ok(s.user())).await, None);
}

async fn binding_to_an_address_needs_one(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.match_ip(IpMatch::Exact));
    let reply = site.visitor().reply(|s| s.set("a", 1)).await;
    assert_eq!(reply.status(), 500);
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

async fn a_session_bound_to_a_user_agent_opens_with_it_only(adaptor: Adaptor) {
    let site = Site::with(adaptor, |p| p.match_user_agent());
    let mut visitor = Visitor::of(site.visitor().browser.with_user_agent("Mozilla/5.0 (X11)"));
    visitor.page(|s| s.set("a", 1)).await;
    let other = Visitor::of(visitor.browser.clone().with_user_agent("curl/8"));
    assert!(!opens(&other).await);
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::OtherAgent)), 1);
    assert!(opens(&visitor).await);
}

/// Which `X-Forwarded-For` opens a session that began at 198.51.100.7, behind the proxy 10.0.0.1.
async fn opens_through(adaptor: Adaptor, peer: &str, forwarded: &str) -> bool {
    let trusted = || ["10.0.0.0/8".parse().unwrap()];
    let site = Site::with(adaptor, |p| {
        p.match_ip(IpMatch::Exact).trusted_proxies(trusted(), ProxyHeader::XForwardedFor)
    });
    let send = async |browser: &steadfast::testing::TestBrowser, peer: &str, forwarded: &str| {
        let visitor = from(&Visitor::of(browser.clone()), peer);
        let request = Request::get("/").header("x-forwarded-for", forwarded).body(String::new()).unwrap();
        visitor
            .start(request, |s: Session| async move {
                let was = s.get::<u32>("a")?.is_some();
                s.set("a", 1)?;
                steadfast::Result::<_>::Ok(was.to_string())
            })
            .await
    };
    let mut browser = site.visitor().browser;
    let first = send(&browser, "10.0.0.1", "198.51.100.7").await;
    browser.keep(&first);
    send(&browser, peer, forwarded).await.text() == "true"
}

async fn a_trusted_proxy_says_whom_it_speaks_for(adaptor: Adaptor) {
    assert!(opens_through(adaptor, "10.0.0.1", "198.51.100.7").await);
    assert!(
        opens_through(adaptor, "10.9.9.9", "203.0.113.5, 198.51.100.7, 10.0.0.2").await,
        "read from the right"
    );
    assert!(!opens_through(adaptor, "10.0.0.1", "198.51.100.8").await);
    assert!(
        !opens_through(adaptor, "10.0.0.1", "198.51.100.7, 203.0.113.5").await,
        "a client's own words don't count"
    );
    assert!(!opens_through(adaptor, "203.0.113.5", "198.51.100.7").await, "nor does an untrusted peer");
    assert!(opens_through(adaptor, "198.51.100.7", "203.0.113.5").await, "who came without the proxy");
}
