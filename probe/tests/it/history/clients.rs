//! Clients that do random things to a few sessions, and write down what they saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::check::Saw;
use super::life::{Life, Worth};
use super::random::Random;
use crate::http::{self, Pending, Reply};

/// How many clients there are.
const CLIENTS: usize = 8;

/// How many sessions they share at a time.
const SESSIONS: usize = 3;

/// How long a client waits after a failure. A balancer is quick to say that a node is not there.
const BREATH: Duration = Duration::from_millis(5);

/// How long a run may go on without progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all clients of a run share.
#[derive(Debug)]
pub(super) struct Run {
    site: SocketAddr,
    /// The route that counts.
    counting: &'static str,
    began: Instant,
    /// The sessions at work.
    at_work: Vec<RwLock<Arc<Life>>>,
    /// Those whose end somebody asked for.
    past: Mutex<Vec<Arc<Life>>>,
    /// Tells sessions and keys apart.
    number: AtomicUsize,
    answers: AtomicUsize,
    revived: AtomicUsize,
    lost: AtomicUsize,
    done: AtomicBool,
}

impl Run {
    /// Begins the sessions.
    pub(super) fn new(site: SocketAddr, counting: &'static str) -> Self {
        let mut run = Self {
            site,
            counting,
            began: Instant::now(),
            at_work: Vec::new(),
            past: Mutex::default(),
            number: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            revived: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            done: AtomicBool::new(false),
        };
        run.at_work = (0..SESSIONS).map(|_| RwLock::new(Arc::new(run.begin()))).collect();
        run
    }

    /// Lets the clients work while `meanwhile` does what it does.
    pub(super) fn work(&self, random: &mut Random, meanwhile: impl FnOnce(&mut Random)) {
        let seeds: Vec<u64> = (0..CLIENTS).map(|_| random.next()).collect();
        thread::scope(|scope| {
            for seed in seeds {
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    while !self.done.load(Ordering::SeqCst) {
                        self.step(&mut random);
                    }
                });
            }
            // A failure of this thread must not leave the others at work.
            let _done = SetWhenDropped(&self.done);
            meanwhile(random);
        });
    }

    /// Waits until so many more requests were answered by 200.
    #[track_caller]
    pub(super) fn await_answers(&self, count: usize) {
        let goal = self.answers.load(Ordering::SeqCst) + count;
        let given_up = Instant::now() + PATIENCE;
        while self.answers.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < given_up, "nobody gets on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the sessions whose end nobody asked for.
    pub(super) fn alive(&self) -> Vec<Arc<Life>> {
        let all = self.at_work.iter().map(|life| Arc::clone(&life.read().unwrap()));
        all.filter(|life| life.is_untouched()).collect()
    }

    /// Returns every session that there was.
    pub(super) fn all(&self) -> Vec<Arc<Life>> {
        self.past.lock().unwrap().iter().cloned().chain(self.alive()).collect()
    }

    /// Returns how often a session answered that had ended.
    pub(super) fn revived(&self) -> usize {
        self.revived.load(Ordering::SeqCst)
    }

    /// Returns how often a session was gone that nobody had ended.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// Looks at a session once more, and returns its values.
    #[track_caller]
    pub(super) fn look(&self, life: &Life) -> serde_json::Value {
        let asked = self.began.elapsed();
        let values = self.insist("/get", Some(&life.cookie())).json()["v"].clone();
        let n = life.check_values(&values);
        life.note_call(asked, Saw::Read { n, answered: self.began.elapsed() });
        values
    }

    /// Asks until there is an answer of 200.
    #[track_caller]
    pub(super) fn insist(&self, path: &str, cookie: Option<&str>) -> Reply {
        let given_up = Instant::now() + PATIENCE;
        loop {
            let reply = self.ask(path, cookie);
            if let Some(reply) = reply.as_ref().filter(|reply| reply.status == 200) {
                return reply.clone();
            }
            let said = reply.map(|reply| reply.text());
            assert!(Instant::now() < given_up, "nobody answers {path}: {said:?}");
            thread::sleep(BREATH);
        }
    }

    fn begin(&self) -> Life {
        let tag = format!("session-{}", self.number.fetch_add(1, Ordering::SeqCst));
        let reply = self.insist(&format!("/set?k=tag&v={tag}"), None);
        Life::new(tag, reply.cookie().expect("a new session has a cookie").to_owned())
    }

    fn step(&self, random: &mut Random) {
        let place = &self.at_work[random.below(SESSIONS)];
        let life = Arc::clone(&place.read().unwrap());
        match random.below(100) {
            0..50 => self.count(&life, random.below(3)),
            50..70 => self.set(&life),
            70..85 => self.read(&life, "/get"),
            85..90 => self.read(&life, "/view"),
            90..97 => self.look_for_the_dead(random),
            _ => self.end(&life, place),
        }
    }

    fn count(&self, life: &Life, sleep: usize) {
        let asked = self.began.elapsed();
        let reply = self.ask_in(life, &format!("{}?sleep={sleep}", self.counting));
        let saw = match reply {
            Some((Worth::Certain, reply)) if reply.status == 200 => {
                let n = reply.json()["n"].as_u64().expect("a number");
                Saw::Counted { n, answered: self.began.elapsed() }
            }
            Some((_, reply)) if had_no_effect(&reply) => return,
            _ => Saw::Nothing,
        };
        life.note_call(asked, saw);
    }

    fn set(&self, life: &Life) {
        let key = format!("key-{}", self.number.fetch_add(1, Ordering::SeqCst));
        let reply = self.ask_in(life, &format!("/set?k={key}&v={}", life.tag));
        if reply.is_some_and(|(worth, reply)| worth == Worth::Certain && reply.status == 200) {
            life.note_kept(key);
        }
    }

    fn read(&self, life: &Life, path: &str) {
        let asked = self.began.elapsed();
        let Some((worth, reply)) = self.ask_in(life, path) else { return };
        if reply.status != 200 {
            return;
        }
        let values = &reply.json()["v"];
        let n = life.check_values(values);
        match worth {
            Worth::Certain if values["tag"].is_null() => drop(self.lost.fetch_add(1, Ordering::SeqCst)),
            Worth::Certain => life.note_call(asked, Saw::Read { n, answered: self.began.elapsed() }),
            Worth::Doubtful => {}
        }
    }

    /// Ends a session, and begins another in its place.
    fn end(&self, life: &Arc<Life>, place: &RwLock<Arc<Life>>) {
        if !life.begin_end() {
            return;
        }
        let reply = self.ask("/destroy", Some(&life.cookie()));
        if reply.is_some_and(|reply| reply.status == 200) {
            life.note_end();
        }
        self.past.lock().unwrap().push(Arc::clone(life));
        *place.write().unwrap() = Arc::new(self.begin());
    }

    fn look_for_the_dead(&self, random: &mut Random) {
        let dead: Vec<_> = self.past.lock().unwrap().iter().filter(|life| life.is_over()).cloned().collect();
        if dead.is_empty() {
            return;
        }
        let life = &dead[random.below(dead.len())];
        let reply = self.ask("/get", Some(&life.cookie())).filter(|reply| reply.status == 200);
        let values = reply.map(|reply| reply.json()["v"].clone());
        if values.is_some_and(|values| values != serde_json::json!({})) {
            self.revived.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn ask_in(&self, life: &Life, path: &str) -> Option<(Worth, Reply)> {
        let reply = self.ask(path, Some(&life.cookie()))?;
        let worth = life.answered(&reply);
        Some((worth, reply))
    }

    /// Asks once. A connection that breaks is no answer.
    fn ask(&self, path: &str, cookie: Option<&str>) -> Option<Reply> {
        let headers: Vec<_> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        let reply = http::send(self.site, path, &headers).and_then(Pending::reply).ok();
        match &reply {
            Some(reply) if reply.status == 200 => {
                self.answers.fetch_add(1, Ordering::SeqCst);
            }
            _ => thread::sleep(BREATH),
        }
        reply
    }
}

/// Reports whether an answer says that nothing was written: others were first, or the balancer, whose answers
/// are no JSON, found the node dead before it had sent anything.
fn had_no_effect(reply: &Reply) -> bool {
    reply.status == 409 || (reply.status == 503 && !reply.body.starts_with(b"{"))
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
