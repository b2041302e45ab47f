//! A PHP application on a site's store, driven request by request.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_servers::Php;

/// How long an answer may take: longer than PHP waits for a lock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PHP application in a process of its own.
#[derive(Debug)]
pub(super) struct Application {
    process: Php,
    lines: Receiver<Value>,
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct Answer(Value);

impl Application {
    pub(super) fn start(options: &Value) -> Self {
        let (sender, lines) = channel();
        let process = Php::start("peer.php", &options.to_string(), move |line| {
            let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("PHP printed: {line}"));
            sender.send(line).is_ok()
        });
        Self { process: process.unwrap(), lines }
    }

    /// Runs a request with the id that a browser has.
    #[track_caller]
    pub(super) fn request(&mut self, id: Option<&str>, ops: &Value) -> Answer {
        self.begin(id, ops);
        let answer = self.end();
        assert_eq!((&answer.0["status"], &answer.0["errors"]), (&json!(200), &json!([])), "PHP refused");
        answer
    }

    /// Runs a request that may fail at its very end, as CodeIgniter's do where it writes nothing to nothing.
    pub(super) fn attempt(&mut self, id: Option<&str>, ops: &Value) -> Answer {
        self.begin(id, ops);
        self.end()
    }

    /// Begins a request; [`end`](Self::end) waits for its answer.
    pub(super) fn begin(&mut self, id: Option<&str>, ops: &Value) {
        self.process.send(&json!({ "cookie": id, "ops": ops }).to_string()).unwrap();
    }

    /// Waits for an event of the request under way.
    #[track_caller]
    pub(super) fn event(&self, name: &str) {
        let line = self.lines.recv_timeout(PATIENCE).expect("PHP tells in time");
        assert_eq!(line["event"], name, "{line}");
    }

    /// Lets a request go on that waits.
    pub(super) fn go_on(&mut self) {
        self.process.send("go on").unwrap();
    }

    #[track_caller]
    pub(super) fn end(&mut self) -> Answer {
        Answer(self.lines.recv_timeout(PATIENCE).expect("PHP answers in time"))
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Answer {
    /// Returns what the first operation returned.
    pub(super) fn result(&self) -> &Value {
        &self.0["results"][0]
    }

    pub(super) fn results(&self) -> &Value {
        &self.0["results"]
    }

    /// Returns the session's id at the end of the request.
    #[track_caller]
    pub(super) fn id(&self) -> String {
        self.0["id"].as_str().expect("there is a session").to_owned()
    }
}
