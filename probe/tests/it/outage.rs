//! A store that stands still, or is gone for a while, under load: answers come in bounded time, routes without
//! sessions go on, and all is well when the store is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use steadfast_servers::Server;

use crate::http::{self, Pending, Reply};
use crate::site::{Site, parallel};
use crate::store::{Store, on_servers};

on_servers! {
    a_store_that_stands_still_for_ten_seconds_holds_nobody_up
    a_store_that_is_killed_comes_back_with_every_session
}

/// How many browsers there are, each with a session of its own.
const BROWSERS: usize = 6;

/// How long a call to the store may take, by default.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long a lease may be left behind by a call whose answer was lost, in seconds. Who comes next waits for it.
const LEASE: u64 = 1;

/// What an answer may take beside the call: more than a busy machine needs.
const MARGIN: Duration = Duration::from_secs(1);

/// What an answer may take that waits for no store.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How soon after the store requests are answered again: the circuit is closed for a second, and then tried.
const RECOVERY: Duration = Duration::from_secs(5);

fn a_store_that_stands_still_for_ten_seconds_holds_nobody_up(store: Store) {
    let (server, site) = started(store);
    let load = Load::new(&site);
    load.during(|| {
        load.await_answers(50);
        server.pause();
        std::thread::sleep(Duration::from_secs(10));
        server.resume();
        load.await_recovery();
    });
    load.check();
    assert!(load.failed() > 0, "the store was ill, and nobody noticed");
    // The circuit opens: who comes later is refused without a wait. In a cluster these few sessions have circuits of
    // their own, and their one browser is also who tries each of them again every second.
    let least = load.failed() / if store == Store::REDIS_CLUSTER { 4 } else { 2 };
    assert!(load.refused_at_once() > least, "{} of {}", load.refused_at_once(), load.failed());
    load.check_sessions();
}

fn a_store_that_is_killed_comes_back_with_every_session(store: Store) {
    let (server, site) = started(store);
    let load = Load::new(&site);
    load.during(|| {
        load.await_answers(50);
        server.kill().unwrap();
        load.await_failures(50);
        server.restart().unwrap();
        load.await_recovery();
    });
    load.check();
    if store.survives_a_restart() {
        load.check_sessions();
    }
}

fn started(store: Store) -> (Box<dyn Server>, Site) {
    let server = store.server().expect("a server");
    let site = Site::on_server(store, &store.on(&server.dsn()), &format!("--lease {LEASE} --lease-max 60"));
    (server, site)
}

/// Browsers that count, each in a session of its own, and one that takes no session.
struct Load<'a> {
    site: &'a Site,
    cookies: Vec<String>,
    answers: AtomicUsize,
    done: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

struct Seen {
    browser: Option<usize>,
    asked: Instant,
    took: Duration,
    reply: Reply,
}

impl<'a> Load<'a> {
    fn new(site: &'a Site) -> Self {
        let begin = || {
            let mut browser = site.browser();
            browser.visit("/set?k=begun&v=1");
            browser.cookie.unwrap()
        };
        let cookies = (0..BROWSERS).map(|_| begin()).collect();
        let (answers, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { site, cookies, answers, done, seen: Mutex::default() }
    }

    /// Keeps the browsers busy while something is done.
    fn during(&self, job: impl FnOnce() + Send) {
        let job = Mutex::new(Some(job));
        parallel(BROWSERS + 2, |i| match i {
            0 => {
                let job = job.lock().unwrap().take().expect("it is done once");
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                self.done.store(true, Ordering::SeqCst);
                done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            1 => self.browse(None),
            _ => self.browse(Some(i - 2)),
        });
    }

    fn browse(&self, browser: Option<usize>) {
        while !self.done.load(Ordering::SeqCst) {
            let (path, headers) = match browser {
                Some(number) => ("/incr", vec![("cookie", self.cookies[number].as_str())]),
                None => ("/none", Vec::new()),
            };
            let asked = Instant::now();
            let reply = http::send(self.site.address(), path, &headers).and_then(Pending::reply).unwrap();
            let took = asked.elapsed();
            self.answers.fetch_add(usize::from(browser.is_some() && reply.status == 200), Ordering::SeqCst);
            self.seen.lock().unwrap().push(Seen { browser, asked, took, reply });
            // A visitor looks at the page.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn await_answers(&self, count: usize) {
        let goal = self.answers.load(Ordering::SeqCst) + count;
        self.wait_until(|| self.answers.load(Ordering::SeqCst) >= goal);
    }

    #[track_caller]
    fn await_failures(&self, count: usize) {
        self.wait_until(|| self.failed() >= count);
    }

    /// Waits until every browser was answered that asked from now on.
    #[track_caller]
    fn await_recovery(&self) {
        let now = Instant::now();
        self.wait_until(|| {
            let seen = self.seen.lock().unwrap();
            let well = |number| {
                seen.iter()
                    .any(|seen| seen.browser == Some(number) && seen.asked > now && seen.reply.status == 200)
            };
            (0..BROWSERS).all(well)
        });
        assert!(now.elapsed() < RECOVERY, "it took {:?} to recover", now.elapsed());
    }

    #[track_caller]
    fn wait_until(&self, is_so: impl Fn() -> bool) {
        let given_up = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < given_up, "nothing comes of it");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Checks every answer: in time, and of the right kind.
    #[track_caller]
    fn check(&self) {
        for Seen { browser, took, reply, .. } in &*self.seen.lock().unwrap() {
            if browser.is_none() {
                assert_eq!(reply.status, 200, "who takes no session notices nothing");
                assert!(*took < MARGIN, "who takes no session waited for {took:?}");
                continue;
            }
            let turn = if reply.status == 200 { Duration::from_secs(LEASE) } else { Duration::ZERO };
            assert!(*took < DEADLINE + turn + MARGIN, "an answer took {took:?}: {}", reply.text());
            if reply.status != 200 {
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{}", reply.text());
                assert!(["unavailable", "timed_out"].contains(&reply.error().as_str()), "{}", reply.text());
                assert_eq!(reply.cookie(), None, "a failed commit sets no cookie");
            }
        }
    }

    fn failed(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.browser.is_some() && seen.reply.status != 200).count()
    }

    fn refused_at_once(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.reply.status != 200 && seen.took < AT_ONCE).count()
    }

    /// Checks that every session is there, and counts what was acknowledged, and no more than was asked for.
    #[track_caller]
    fn check_sessions(&self) {
        let given_up = Instant::now() + RECOVERY;
        for (number, cookie) in self.cookies.iter().enumerate() {
            let seen = self.seen.lock().unwrap();
            let of = |seen: &&Seen| seen.browser == Some(number);
            let acknowledged = seen.iter().filter(of).filter(|seen| seen.reply.status == 200).count();
            let asked = seen.iter().filter(of).count();
            drop(seen);
            // The circuit of a node may be open for a moment after the others'.
            let browser = self.site.browser_with(cookie.clone());
            let answers =
                std::iter::repeat_with(|| browser.ask("/get")).take_while(|_| Instant::now() < given_up);
            let answer = answers.into_iter().find(|reply| reply.status == 200);
            let values = answer.expect("every node is well again").json()["v"].clone();
            assert_eq!(values["begun"], "1", "a session was lost");
            let counted = usize::try_from(values["n"].as_u64().unwrap()).unwrap();
            assert!((acknowledged..=asked).contains(&counted), "{counted} of {acknowledged} to {asked}");
        }
    }
}
