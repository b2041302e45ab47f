//! A real PHP process that a test drives, and waits for without holding others up.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast_servers::Php;
use tokio::sync::mpsc;

/// How long an answer may take. PHP waits up to 30 s for locks that nobody frees.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PHP application in one process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Php,
    lines: mpsc::UnboundedReceiver<Value>,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The id at its end; `None` after a destroy.
    pub(crate) id: Option<String>,
    /// The header that the browser would get.
    pub(crate) set_cookie: Option<String>,
    /// What each operation returned.
    pub(crate) results: Vec<Value>,
    /// Warnings and exceptions.
    pub(crate) errors: Vec<String>,
    /// 200, or 500 after an exception.
    pub(crate) status: u64,
}

impl Peer {
    /// Starts a process with the options that are listed in `peer.php`.
    pub(crate) fn start(options: &Value) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let process = Php::start("peer.php", &options.to_string(), move |line| {
            let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("PHP printed: {line}"));
            sender.send(line).is_ok()
        });
        Self { process: process.expect("PHP starts"), lines }
    }

    /// Runs a request to its end: `cookie` is the id that the browser sends, `ops` are its operations.
    pub(crate) async fn request(&mut self, cookie: Option<&str>, ops: Value) -> Answer {
        self.run(json!({ "cookie": cookie, "ops": ops })).await
    }

    /// Runs a request that is written out whole.
    pub(crate) async fn run(&mut self, request: Value) -> Answer {
        self.send(&request);
        self.answer().await
    }

    /// Runs a request that must go well, and returns the results of its operations.
    pub(crate) async fn results(&mut self, cookie: Option<&str>, ops: Value) -> Vec<Value> {
        let answer = self.request(cookie, ops).await;
        assert_eq!((answer.status, &answer.errors), (200, &Vec::new()), "PHP refused");
        answer.results
    }

    /// Begins a request; [`answer`](Self::answer) waits for its end.
    pub(crate) fn send(&mut self, request: &Value) {
        self.process.send(&request.to_string()).expect("PHP runs");
    }

    /// Waits for an event of the request under way: `starting`, `started`, `waiting`.
    pub(crate) async fn event(&mut self, name: &str) {
        let line = self.line().await;
        assert_eq!(line["event"], name, "PHP sent {line}");
    }

    /// Lets a request go on that waits.
    pub(crate) fn go_on(&mut self) {
        self.process.send("go on").expect("PHP runs");
    }

    /// Waits for the end of a request.
    pub(crate) async fn answer(&mut self) -> Answer {
        let line = self.line().await;
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let list = |name: &str| line[name].as_array().unwrap_or_else(|| panic!("no answer: {line}")).clone();
        Answer {
            id: text("id"),
            set_cookie: text("set_cookie"),
            results: list("results"),
            errors: list("errors")
                .iter()
                .map(|error| error.as_str().unwrap_or_default().to_owned())
                .collect(),
            status: line["status"].as_u64().unwrap_or_default(),
        }
    }

    /// Ends the process as `kill -9` does, whatever it holds.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it can be waited for");
    }

    /// Stops the process until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.process.pause().expect("PHP runs");
    }

    /// Lets a stopped process go on.
    pub(crate) fn resume(&self) {
        self.process.resume().expect("PHP runs");
    }

    async fn line(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
        line.expect("PHP answers in time").expect("PHP runs")
    }
}

/// Makes the id of a session as PHP makes them, another one for each number.
pub(crate) fn id(number: u32) -> String {
    format!("{number:08x}").repeat(4)
}
