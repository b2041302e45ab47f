//! A real Chromium walks through the demo, as it is served.
//!
//! `cargo xtask test --only browser` starts what it needs.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails like a test")]

mod webdriver;

use std::net::SocketAddr;

use steadfast_demo::storm::Arena;
use steadfast_demo::{setup, site};
use webdriver::Window;

/// How often a storm without forwarding is started. It signs the visitor out when the answer to a refused
/// request arrives last; that is nearly always, but it is the network's choice.
const STORMS: usize = 8;

/// The demo, served on a port of its own, with its sessions in files.
struct Demo {
    site: String,
    _runtime: tokio::runtime::Runtime,
    _files: tempfile::TempDir,
}

impl Demo {
    fn serve() -> Self {
        let files = tempfile::tempdir().unwrap();
        let store = |name| format!("files:{}", files.path().join(name).display());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(async {
            let sessions = setup::connect(&store("sessions")).await.unwrap();
            let arena = Arena::connect(&store("storm")).await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let site = site(&sessions, &arena).into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, site).await });
            address
        });
        Self { site: format!("http://{listener}"), _runtime: runtime, _files: files }
    }

    fn window(&self) -> Window {
        Window::open(&self.site)
    }

    /// Opens a window in which Ada has signed in.
    fn signed_in(&self) -> Window {
        let window = self.window();
        window.go("/sign-in");
        window.type_into("#user", "ada");
        window.type_into("#password", "analytical engine");
        window.click("main form button");
        window.wait_for(".notice", |text| text == "Welcome aboard, Ada Lovelace.");
        window
    }
}

/// Checks that nothing on the pages so far was forbidden by their policy, or failed.
#[track_caller]
fn assert_no_complaints(window: &Window) {
    assert_eq!(window.complaints(), [""; 0]);
}

#[test]
fn a_visit_from_signing_in_to_signing_out() {
    let demo = Demo::serve();
    let window = demo.signed_in();

    window.go("/cart");
    for count in ["1", "2"] {
        window.click("[aria-label='Add Storm lantern']");
        window.wait_for("[data-count=lantern]", |text| text == count);
    }
    window.click("[aria-label='Add Compass']");
    window.wait_for(".notice", |text| text == "Compass: in the cart.");
    assert_eq!(window.text("[data-count=lantern]"), "2");
    assert_eq!(window.text("[data-count=compass]"), "1");

    window.go("/profile");
    window.type_into("#ship", "Beagle");
    window.click("#save");
    window.wait_for(".notice", |text| text == "Your profile is saved.");
    window.reload();
    assert_eq!(window.text(".notice"), "", "a flash message came back with the reload");
    assert_eq!(window.run("return document.getElementById('ship').value"), "Beagle");

    window.click("#sign-out");
    window.wait_for(".who p", |text| text == "Not signed in");
    window.back();
    window.wait_for("h1", |text| text == "Sign in");
    assert_eq!(window.run("return document.documentElement.outerHTML.includes('Beagle')"), false);
    assert_no_complaints(&window);
}

#[test]
fn a_link_that_works_once_and_a_code_that_counts_down() {
    let demo = Demo::serve();
    let window = demo.signed_in();

    window.go("/download");
    window.click("#make");
    window.wait_for(".links a", |text| text == "chart.txt");
    let ask = "return fetch(document.querySelector('.links a').href).then((answer) => answer.status)";
    assert_eq!(window.run(ask), 200);
    assert_eq!(window.run(ask), 410);
    window.reload();
    assert_eq!(window.text(".links"), "");

    window.go("/code");
    window.click("#make");
    let seconds = |text: &str| text.parse::<u64>().unwrap_or(0);
    let before = seconds(&window.wait_for("#left", |text| seconds(text) > 0));
    window.wait_for("#left", |text| seconds(text) < before);
    let code = window.text("#digits");
    window.type_into("#typed", &code);
    window.click("#check");
    window.wait_for(".notice", |text| text.starts_with("That is the code."));
    assert_eq!(window.text("#digits"), "");
    assert_no_complaints(&window);
}

#[test]
fn devices_that_are_signed_out_from_another_one_and_lines_that_end_with_them() {
    let demo = Demo::serve();
    let (window, phone) = (demo.signed_in(), demo.signed_in());

    phone.go("/live");
    phone.wait_for("#stream", |text| text == "open");
    phone.wait_for("#socket", |text| text == "open");
    phone.wait_for("#items", |text| text == "0");
    phone.click("#wave");
    phone.wait_for("#waves", |text| text == "1");

    window.go("/devices");
    assert_eq!(window.run("return document.querySelectorAll('.devices li').length"), 2);
    window.click("#others");
    window.wait_for(".notice", |text| text == "One other device is signed out.");
    assert_eq!(window.run("return document.querySelectorAll('.devices li').length"), 1);

    phone.wait_for("#stream", |text| text == "ended: you are signed out");
    phone.wait_for("#socket", |text| text == "ended: you are signed out");
    phone.go("/profile");
    phone.wait_for(".notice", |text| text == "Please sign in first.");
    assert_no_complaints(&window);
    assert_no_complaints(&phone);
}

#[test]
fn a_live_page_ends_when_another_tab_signs_out() {
    let demo = Demo::serve();
    let window = demo.signed_in();
    window.go("/live");
    window.wait_for("#stream", |text| text == "open");
    window.wait_for("#socket", |text| text == "open");
    // What another tab does is a request with the same cookies.
    let sign_out = "const form = new FormData(document.querySelector('form[action=\"/sign-out\"]'));\
                    return fetch('/sign-out', { method: 'POST', body: new URLSearchParams(form) })\
                    .then((answer) => answer.status)";
    assert_eq!(window.run(sign_out), 200);
    window.wait_for("#stream", |text| text == "ended: you are signed out");
    window.wait_for("#socket", |text| text == "ended: you are signed out");
    assert_no_complaints(&window);
}

#[test]
fn a_storm_in_which_every_request_counts_and_one_cookie_succeeds() {
    let demo = Demo::serve();
    let window = demo.window();
    window.go("/storm");
    for turn in ["hit", "hit-in-turn"] {
        window.click(&format!("[value={turn}]"));
        let [counted, cookies, signed_in] = storm(&window);
        assert_eq!([counted.as_str(), &cookies, &signed_in], ["48 of 48", "1", "Signed in"], "{turn}");
        let picture = "return document.querySelectorAll('#picture svg .bar.counted').length";
        assert_eq!(window.run(picture), 48, "{turn}");
    }
    assert_no_complaints(&window);
}

#[test]
fn a_storm_without_protection_loses_increments_and_signs_the_visitor_out() {
    let demo = Demo::serve();
    let window = demo.window();
    window.go("/storm");
    window.click("#conditional");
    let [counted, cookies, signed_in] = storm(&window);
    assert_ne!(counted, "48 of 48", "the last writer wins, and the others lose");
    assert_eq!([cookies.as_str(), &signed_in], ["1", "Signed in"], "forwarding works without the other rule");

    window.click("#forwarding");
    let mut verdicts = (0..STORMS).map(|_| storm(&window));
    assert!(verdicts.any(|[.., signed_in]| signed_in == "Signed out"), "nobody was signed out");
    assert_no_complaints(&window);
}

/// Starts a storm, waits for its end, and returns the verdicts.
fn storm(window: &Window) -> [String; 3] {
    window.click("#start");
    window.wait_for("#start:disabled", |text| text.is_empty());
    ["#counted", "#successors", "#signed-in"].map(|verdict| window.text(&format!("{verdict} strong")))
}
