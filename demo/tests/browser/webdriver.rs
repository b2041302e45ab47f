//! As much of WebDriver as the walk needs: JSON over HTTP, to a `chromedriver` that is running.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long something on a page may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Without a sandbox, as containers and CI run as root; and without what a browser does for itself.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

/// A window of a Chromium of its own, with a profile of its own. It closes when it is dropped.
pub(crate) struct Window {
    /// Where chromedriver listens: `host:port`.
    driver: String,
    /// The path of the session of WebDriver.
    path: String,
    site: String,
    _profile: tempfile::TempDir,
}

impl Window {
    /// Opens a Chromium for a site.
    pub(crate) fn open(site: &str) -> Self {
        let driver = std::env::var("STEADFAST_WEBDRIVER")
            .expect("STEADFAST_WEBDRIVER is the address of a chromedriver; `cargo xtask test` starts one");
        let driver = driver.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let profile = tempfile::tempdir().unwrap();
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({ "args": flags });
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let opened = ask(&driver, "POST", "/session", &wanted).expect("chromedriver opens a Chromium");
        let path = format!("/session/{}", opened["sessionId"].as_str().unwrap());
        Self { driver, path, site: site.to_owned(), _profile: profile }
    }

    /// Goes to a page of the site.
    pub(crate) fn go(&self, page: &str) {
        self.order("/url", &json!({ "url": format!("{}{page}", self.site) }));
    }

    /// Presses the button for back.
    pub(crate) fn back(&self) {
        self.order("/back", &json!({}));
    }

    /// Loads the page again.
    pub(crate) fn reload(&self) {
        self.order("/refresh", &json!({}));
    }

    /// Clicks on what a CSS selector names, and does not wait for what follows.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.on(selector, "click", &json!({}));
    }

    /// Types into a field.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.on(selector, "value", &json!({ "text": text }));
    }

    /// Runs a script and returns what it returns, also if that is a promise.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.order("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Returns the text of what a selector names; an empty one if there is nothing.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        self.try_text(selector).unwrap_or_else(|fault| panic!("{selector}: {fault}"))
    }

    /// Waits until what a selector names has a text that is looked for, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, selector: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.patiently(selector, || {
            let text = self.try_text(selector)?;
            if wanted(&text) { Ok(text) } else { Err(format!("it is {text:?}")) }
        })
    }

    /// Returns what the browser has complained about since it was last asked: faults of scripts, and what
    /// the Content-Security-Policy forbade. What the network answered is not among it.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.order("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().unwrap().iter().filter(|entry| entry["source"] != "network");
        entries.map(ToString::to_string).collect()
    }

    /// Does something to what a selector names, as soon as that is there.
    #[track_caller]
    fn on(&self, selector: &str, what: &str, body: &Value) {
        self.patiently(selector, || {
            let found = self.ask("/element", &json!({ "using": "css selector", "value": selector }))?;
            let id = found.as_object().and_then(|found| found.values().next()?.as_str());
            self.ask(&format!("/element/{}/{what}", id.ok_or("no element")?), body)
        });
    }

    fn try_text(&self, selector: &str) -> Result<String, String> {
        let script = "return (document.querySelector(arguments[0])?.textContent ?? '').trim()";
        let text = self.ask("/execute/sync", &json!({ "script": script, "args": [selector] }))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Tries until it succeeds: a page may be on its way, or just leaving.
    #[track_caller]
    fn patiently<T>(&self, what: &str, attempt: impl Fn() -> Result<T, String>) -> T {
        let began = Instant::now();
        loop {
            match attempt() {
                Ok(value) => return value,
                Err(fault) if began.elapsed() > PATIENCE => {
                    panic!("{what}: {fault}; the page:\n{}", self.try_text("main").unwrap_or_default())
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    #[track_caller]
    fn order(&self, what: &str, body: &Value) -> Value {
        self.ask(what, body).unwrap_or_else(|fault| panic!("{what} {body}: {fault}"))
    }

    fn ask(&self, what: &str, body: &Value) -> Result<Value, String> {
        ask(&self.driver, "POST", &format!("{}{what}", self.path), body)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        drop(ask(&self.driver, "DELETE", &self.path, &Value::Null));
    }
}

/// Sends one request, and returns the `value` of the answer.
fn ask(driver: &str, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let (status, answer) = send(driver, method, path, body).map_err(|error| error.to_string())?;
    let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    match status {
        200 => Ok(answer["value"].take()),
        _ => Err(answer["value"]["message"].as_str().unwrap_or("no message").to_owned()),
    }
}

fn send(driver: &str, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Vec<u8>)> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(driver)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len(),
    )?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok((status, answer))
}
