//! A site: one store, three probes on it, a load balancer before them, and browsers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use steadfast_servers::{Haproxy, Server as _, free_port};
use tempfile::TempDir;

use crate::http::{self, Pending, Reply};
use crate::process::Probe;
use crate::store::Store;

/// How many nodes a site has where several processes can share its store.
const NODES: usize = 3;

/// A store with its probes behind a load balancer, which sends each request to the next one, whatever cookie
/// it carries. A store in memory has one probe, and no balancer.
///
/// When it goes, it checks that its probes told nobody the cookies they gave out.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) nodes: Vec<Probe>,
    balancer: Option<Haproxy>,
    arguments: Vec<String>,
    /// How many seconds the clock of a node is off; those that are added later have the right time.
    clocks: Vec<i64>,
    /// What no output may hold.
    private: Mutex<Vec<String>>,
}

impl Site {
    pub(crate) fn start(store: Store, arguments: &str) -> Self {
        Self::with_nodes(store, if store.is_shared() { NODES } else { 1 }, arguments)
    }

    pub(crate) fn with_nodes(store: Store, nodes: usize, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = store.dsn(dir.path());
        Self::with(dir, &dsn, vec![0; nodes], &served(store, arguments))
    }

    /// Starts the nodes on a store with options in its connection string.
    pub(crate) fn with_options(store: Store, options: &str, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("{}?{options}", store.dsn(dir.path()));
        Self::with(dir, &dsn, vec![0; NODES], &served(store, arguments))
    }

    /// Starts the nodes on a store that is there already.
    pub(crate) fn on_server(store: Store, dsn: &str, arguments: &str) -> Self {
        Self::on_dsn(dsn, &served(store, arguments))
    }

    /// Starts the nodes on a store that is named by its connection string.
    pub(crate) fn on_dsn(dsn: &str, arguments: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), dsn, vec![0; NODES], arguments)
    }

    /// Starts nodes whose clocks are off by so many seconds.
    pub(crate) fn with_clocks(store: Store, clocks: [i64; NODES], arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = store.dsn(dir.path());
        Self::with(dir, &dsn, clocks.to_vec(), &served(store, arguments))
    }

    fn with(dir: TempDir, dsn: &str, clocks: Vec<i64>, arguments: &str) -> Self {
        let arguments = ["--store", dsn].into_iter().chain(arguments.split_whitespace()).map(str::to_owned);
        let nodes = clocks.len();
        let mut site = Self {
            arguments: arguments.collect(),
            clocks,
            dir,
            nodes: Vec::new(),
            balancer: None,
            private: Mutex::default(),
        };
        for _ in 0..nodes {
            site.add_node();
        }
        if nodes > 1 {
            let addresses: Vec<_> = site.nodes.iter().map(|node| node.address).collect();
            site.balancer = Some(Haproxy::start(&addresses).unwrap());
        }
        site
    }

    /// Starts one more probe on the same store. The balancer does not know it.
    pub(crate) fn add_node(&mut self) {
        let number = self.nodes.len();
        self.nodes.push(self.start_node(number, free_port()));
    }

    /// Kills a probe in the middle of whatever it does, and starts it anew on its port.
    pub(crate) fn restart_node(&mut self, number: usize) {
        self.nodes[number].kill();
        self.nodes[number] = self.start_node(number, self.nodes[number].address.port());
    }

    fn start_node(&self, number: usize, port: u16) -> Probe {
        let mut arguments = self.arguments.clone();
        let own = [format!("--node=node-{number}"), format!("--listen=127.0.0.1:{port}")];
        arguments.extend(own);
        let clock = self.clocks.get(number).copied().unwrap_or_default();
        Probe::start_at(clock, &self.outputs(number), &arguments)
    }

    /// Returns where browsers go: to the balancer, or to the only node.
    pub(crate) fn address(&self) -> SocketAddr {
        self.balancer.as_ref().map_or(self.nodes[0].address, |balancer| balancer.address())
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

/// Adds which framework serves to a probe's arguments.
fn served(store: Store, arguments: &str) -> String {
    format!("--adaptor {} {arguments}", store.adaptor())
}

/// A browser with one cookie.
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
        self.send(self.site.nodes[node].address, path, headers)
    }

    #[track_caller]
    fn send(&self, to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Pending {
        let mut headers = headers.to_vec();
        headers.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        http::send(to, path, &headers).unwrap()
    }

    /// Asks a node, and leaves the answer's cookie where it is.
    #[track_caller]
    pub(crate) fn ask_node(&self, node: usize, path: &str) -> Reply {
        let reply = self.send_to(node, path, &[]).reply().unwrap();
        self.note(&reply);
        reply
    }

    /// Asks whichever node the balancer chooses, and leaves the answer's cookie where it is.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str) -> Reply {
        self.ask_with(path, &[])
    }

    /// Asks with headers.
    #[track_caller]
    pub(crate) fn ask_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let reply = self.send(self.site.address(), path, headers).reply().unwrap();
        self.note(&reply);
        reply
    }

    /// Asks as a script of the page does.
    #[track_caller]
    pub(crate) fn fetch(&self, path: &str) -> Reply {
        self.ask_with(path, &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")])
    }

    /// Opens a page: asks, and takes over the answer's cookie.
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
