//! A site: one store with one or two probes on it, and browsers that go to them in turn.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::http::{self, Pending, Reply};
use crate::process::Probe;

/// Where a site keeps its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Files,
    Sqlite,
    /// None: each session travels in its cookie.
    Cookie,
}

impl Store {
    /// Returns the connection string of a store in a directory.
    pub(crate) fn dsn(self, dir: &Path) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Files => format!("files:{}", dir.join("sessions").display()),
            Self::Cookie => "cookie:".to_owned(),
            Self::Sqlite => format!("sqlite:{}", dir.join("sessions.db").display()),
        }
    }
}

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory { $(#[test] fn $test() { super::$test(crate::site::Store::Memory); })* }
        crate::site::on_shared_stores! { $($test)* }
    };
}
pub(crate) use on_every_store;

/// Makes a test of each function for each store that several processes can share.
macro_rules! on_shared_stores {
    ($($test:ident)*) => {
        mod files { $(#[test] fn $test() { super::$test(crate::site::Store::Files); })* }
        mod sqlite { $(#[test] fn $test() { super::$test(crate::site::Store::Sqlite); })* }
    };
}
pub(crate) use on_shared_stores;

/// A store with its probes: two, where two processes can share it.
///
/// When it goes, it checks that its probes told nobody the cookies they gave out.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) nodes: Vec<Probe>,
    arguments: Vec<String>,
    turn: AtomicUsize,
    /// What no output may hold.
    private: Mutex<Vec<String>>,
}

impl Site {
    pub(crate) fn start(store: Store, arguments: &str) -> Self {
        let nodes = if store == Store::Memory { 1 } else { 2 };
        Self::with_nodes(store, nodes, arguments)
    }

    pub(crate) fn with_nodes(store: Store, nodes: usize, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = store.dsn(dir.path());
        Self::on(dir, &dsn, nodes, arguments)
    }

    /// Starts two nodes on a store with options in its connection string.
    pub(crate) fn with_options(store: Store, options: &str, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("{}?{options}", store.dsn(dir.path()));
        Self::on(dir, &dsn, 2, arguments)
    }

    fn on(dir: TempDir, dsn: &str, nodes: usize, arguments: &str) -> Self {
        let arguments = ["--store", dsn].into_iter().chain(arguments.split_whitespace()).map(str::to_owned);
        let mut site = Self {
            arguments: arguments.collect(),
            dir,
            nodes: Vec::new(),
            turn: AtomicUsize::new(0),
            private: Mutex::default(),
        };
        for _ in 0..nodes {
            site.add_node();
        }
        site
    }

    /// Starts one more probe on the same store.
    pub(crate) fn add_node(&mut self) {
        let number = self.nodes.len();
        let mut arguments = self.arguments.clone();
        arguments.extend(["--node".to_owned(), format!("node-{number}")]);
        self.nodes.push(Probe::start(&self.outputs(number), &arguments));
    }

    /// Returns where a node's outputs go, without an extension.
    pub(crate) fn outputs(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("node-{number}"))
    }

    /// Returns a browser that nobody has seen before.
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { site: self, cookie: None }
    }

    /// Returns a browser that sends this as its cookies.
    pub(crate) fn browser_with(&self, cookie: String) -> Browser<'_> {
        Browser { site: self, cookie: Some(cookie) }
    }

    /// Returns the node whose turn it is.
    pub(crate) fn next_node(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len()
    }

    /// Names something that no output may hold.
    pub(crate) fn keep_private(&self, text: &str) {
        let mut private = self.private.lock().unwrap();
        if !private.iter().any(|known| known == text) {
            private.push(text.to_owned());
        }
    }

    /// Waits until an event came that many times, on all nodes together.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.nodes.iter().map(|node| node.count(event)).sum()
    }

    fn check_privacy(&self) {
        for node in &self.nodes {
            let mut shown = node.written();
            if let Ok(reply) = http::send(node.address, "/metrics", &[]).and_then(Pending::reply) {
                shown.push_str(&reply.text());
            }
            for text in self.private.lock().unwrap().iter() {
                assert!(!shown.contains(text.as_str()), "a node told what is private:\n{shown}");
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_privacy();
        }
    }
}

/// A browser with one cookie, which goes to the site's nodes in turn.
#[derive(Clone, Debug)]
pub(crate) struct Browser<'a> {
    site: &'a Site,
    /// `name=value`.
    pub(crate) cookie: Option<String>,
}

impl Browser<'_> {
    /// Sends a request to a node, and does not wait for the answer.
    #[track_caller]
    pub(crate) fn send_to(&self, node: usize, path: &str, headers: &[(&str, &str)]) -> Pending {
        let mut headers = headers.to_vec();
        headers.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        http::send(self.site.nodes[node].address, path, &headers).unwrap()
    }

    /// Asks a node, and leaves the answer's cookie where it is.
    #[track_caller]
    pub(crate) fn ask_node(&self, node: usize, path: &str) -> Reply {
        let reply = self.send_to(node, path, &[]).reply().unwrap();
        self.note(&reply);
        reply
    }

    /// Asks the next node, and leaves the answer's cookie where it is.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str) -> Reply {
        self.ask_node(self.site.next_node(), path)
    }

    /// Asks as a script of the page does.
    #[track_caller]
    pub(crate) fn fetch(&self, path: &str) -> Reply {
        let headers = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
        self.send_to(self.site.next_node(), path, &headers).reply().unwrap()
    }

    /// Opens a page: asks the next node, and takes over the answer's cookie.
    #[track_caller]
    pub(crate) fn open(&mut self, path: &str) -> Reply {
        let reply = self.ask(path);
        self.keep(&reply);
        reply
    }

    /// Opens a page that must be there.
    #[track_caller]
    pub(crate) fn visit(&mut self, path: &str) -> serde_json::Value {
        let reply = self.open(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// Takes over the cookie of an answer.
    pub(crate) fn keep(&mut self, reply: &Reply) {
        match reply.cookie() {
            Some(cookie) if cookie.ends_with('=') => self.cookie = None,
            Some(cookie) => self.cookie = Some(cookie.to_owned()),
            None => {}
        }
    }

    /// Returns the value of the cookie.
    #[track_caller]
    pub(crate) fn token(&self) -> &str {
        self.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("there is a cookie").1
    }

    /// Remembers that nobody may be told the cookie of an answer, nor a good part of it.
    fn note(&self, reply: &Reply) {
        let value = reply.cookie().and_then(|cookie| cookie.split_once('=')).map_or("", |(_, value)| value);
        let (key, secret) = value.split_at(value.len() / 2);
        for part in [key, secret] {
            if part.len() > 8 {
                self.site.keep_private(&part[4..]);
            }
        }
    }
}

/// Does something so many times at once.
pub(crate) fn parallel<T: Send>(times: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let job = &job;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..times).map(|i| scope.spawn(move || job(i))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a request ends without a panic")).collect()
    })
}

/// Does something for each mode of concurrency, at once: such tests mostly wait.
pub(crate) fn in_both_modes(job: impl Fn(&str) + Sync) {
    parallel(2, |i| job(["exclusive", "merge"][i]));
}
