//! From the cookie to a session: which record, whether the request is let in, and its turn.

use std::time::Duration;

use tokio::time::Instant;

use super::desk::{Handed, Secrets, Turn, Waiting};
use super::exchange::{Access, Base, Client, Exchange, Opening, Outcome, Tokens, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, EventKind};
use crate::plan::{self, Admission, Opened, Rotation};
use crate::policy::Concurrency;
use crate::record::{Contents, Header, Standing, Values};
use crate::session::{State, Step};
use crate::store::{Acquired, Found, Lease, LeaseToken, Loaded, Store as _, StoreKey};
use crate::time::Timestamp;
use crate::token::Token;

/// How long a node that had many turns in a row waits for other nodes to take theirs.
const OTHERS_FIRST: Duration = Duration::from_millis(10);

/// A record that a request was let into.
pub(super) struct Entered {
    pub(super) base: Box<Base>,
    /// Values came from elsewhere, so there is something to store.
    pub(super) carried: bool,
}

impl Exchange {
    /// Opens the session for the first extractor of a request.
    pub(super) async fn begin<C, B>(&self, access: Access, opening: Opening<C, B>) -> Result<Box<Work>>
    where
        C: FnOnce() -> Result<Client>,
        B: FnOnce() -> bool,
    {
        match opening {
            Opening::Request { client, is_background } => {
                let mut client = client()?;
                let entered = self.find(access, &mut client).await?;
                let mut work = self.work(access, client, entered);
                self.age_flash(&mut work, is_background)?;
                Ok(work)
            }
            Opening::Handle(key) => {
                let client = Client::default();
                let entered = Box::pin(self.go_in(access, &key, &mut None, &client)).await?;
                Ok(self.work(access, client, entered))
            }
        }
    }

    /// Opens the session again for an extractor that wants more than the one before it.
    pub(super) async fn upgrade<C, B>(&self, access: Access, opening: Opening<C, B>) -> Result<()>
    where
        C: FnOnce() -> Result<Client>,
        B: FnOnce() -> bool,
    {
        let (mut client, is_background) = match opening {
            Opening::Request { client, is_background } => (client()?, Some(is_background)),
            Opening::Handle(_) => (Client::default(), None),
        };
        let token = self.with(|work| {
            client.moved = work.client.moved;
            work.base.as_ref().and_then(|base| base.token.clone())
        });
        (client.tokens, client.before) = (token.into_iter().collect(), None);
        let entered = self.find(access, &mut client).await?;
        let mut work = self.work(access, client, entered);
        #[cfg(feature = "php")]
        if let Some(base) = work.base.as_mut().filter(|_| self.core.php.is_some())
            && self.with(|before| before.is_forwarded())
        {
            base.note_forwarded();
        }
        self.with(|before| {
            if let Some(is_background) = is_background
                && before.access == Access::View
            {
                self.age_flash(&mut work, is_background)?;
            }
            work.adopt(before, &self.core)?;
            *before = *work;
            Ok(())
        })
    }

    fn work(&self, access: Access, client: Client, entered: Option<Entered>) -> Box<Work> {
        let (mut base, carried) = match entered {
            Some(Entered { base, carried }) => (Some(base), carried),
            None => (None, false),
        };
        let turn = base.as_mut().and_then(|base| base.turn.take());
        let (skew, codec, values) = match &mut base {
            Some(base) => (self.core.note_skew(base.found.now, base.asked), base.codec, base.take_values()),
            None => (self.core.skew(), self.core.encoding(), Values::default()),
        };
        let mut state = State::new(codec, values, self.core.policy.limits(), access == Access::Merge);
        if carried {
            state.note_carried();
        }
        let outcome = Outcome::Pending;
        Box::new(Work { access, client, base, state, turn, skew, outcome, reserved: None })
    }

    /// Finds the one session that a client's cookies open.
    async fn find(&self, access: Access, client: &mut Client) -> Result<Option<Entered>> {
        if let Some(carrier) = &self.core.carrier {
            return self.unpack(carrier, access, client);
        }
        if client.too_many {
            self.core.observer.alarm(Anomaly::TooManyCookies, None);
        }
        let entered = self.find_here(access, client).await?;
        if entered.is_none()
            && let Some(import) = &self.core.import
            && let Some(before) = client.before.take()
        {
            return Box::pin(self.find_before(import, access, *before, client)).await;
        }
        Ok(entered)
    }

    async fn find_here(&self, access: Access, client: &mut Client) -> Result<Option<Entered>> {
        let token = match std::mem::take(&mut client.tokens) {
            Tokens::None => return Ok(None),
            Tokens::One(token) => token,
            // Boxed, as everything here that happens rarely: each request carries room for what is not.
            Tokens::Several(tokens) => match Box::pin(self.only_one_that_opens(tokens, client)).await? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let key = token.key.store_key();
        let adoptable = self.core.adopts_ids().then(|| token.clone());
        let entered = self.go_in(access, &key, &mut Some(token), client).await?;
        client.adopted = adoptable.filter(|_| entered.is_none());
        Ok(entered)
    }

    /// Lets a request into the session that a key leads to, or led to. The token stays where it is until the request
    /// is let in, so that no wait carries room for it.
    pub(super) async fn go_in(
        &self,
        access: Access,
        key: &StoreKey,
        token: &mut Option<Token>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        let entered = self.enter(access, key, token, client).await?;
        #[cfg(feature = "php")]
        if self.core.php.is_some() {
            let entered = Box::pin(self.follow(access, entered, client)).await?;
            self.settle_origin_if_over(access, entered.as_ref());
            return Ok(entered);
        }
        Ok(entered)
    }

    /// Tries several cookies, without a lease. If two of them open a session, none is used.
    async fn only_one_that_opens(&self, tokens: Vec<Token>, client: &Client) -> Result<Option<Token>> {
        let mut opens = Vec::new();
        for token in tokens {
            let key = token.key.store_key();
            if let Some(entered) = self.look(&key, &mut Some(token), client).await? {
                opens.extend(entered.base.token);
            }
        }
        if opens.len() > 1 {
            self.core.observer.alarm(Anomaly::TwoSessions, None);
            return Ok(None);
        }
        Ok(opens.pop())
    }

    pub(super) async fn enter(
        &self,
        access: Access,
        key: &StoreKey,
        token: &mut Option<Token>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        let entered = match access {
            Access::View | Access::Merge => self.look(key, token, client).await?,
            // Boxed, so that those who wait for nobody do not carry room for the wait.
            Access::Exclusive => Box::pin(self.take_turn(key, token, client)).await?,
        };
        // Told here, as one that waits for its turn looks at the record before it is let in.
        if entered.is_some() {
            self.core.observer.tell(EventKind::Loaded, key);
        }
        Ok(entered)
    }

    /// Reads the record and lets the request in or not.
    pub(super) async fn look(
        &self,
        key: &StoreKey,
        token: &mut Option<Token>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        let asked = self.core.asks();
        let judged = match self.core.store.load(key).await {
            Ok(Loaded::Missing) => return Ok(self.no_record(key)),
            Ok(Loaded::Found(found)) => self.judge(key, token, found, asked, client),
            Err(error) => Err(error),
        };
        self.unless_damaged(key, token, judged, None, client).await
    }

    /// Takes the session's turn on this node and its lease in the store, then lets the request in.
    pub(super) async fn take_turn(
        &self,
        key: &StoreKey,
        token: &mut Option<Token>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        let came = Instant::now();
        let mut turn = match self.core.desk.enter(key) {
            Ok(turn) => turn,
            // Boxed, as all that only those need who meet somebody.
            Err(waiting) => match Box::pin(self.wait_in_line(waiting, key, token, client, came)).await? {
                Waited::Turn(turn) => turn,
                Waited::Settled(entered) => return Ok(entered),
            },
        };
        if let Some(handed) = turn.take_handed()
            && let Some(found) = Box::pin(self.take_over(handed, key)).await
        {
            self.core.observer.tell(EventKind::HandedOver, key);
            // It was committed after this request came.
            let judged = self.judge(key, token, found, self.arrived, client);
            turn.opens_with(secrets(&judged));
            let lease = turn.lease();
            return Ok(seat(turn, self.unless_damaged(key, token, judged, lease, client).await?));
        }
        let mut looked = false;
        loop {
            let lease = turn.lease().unwrap_or_else(LeaseToken::fresh);
            let asked = self.core.asks();
            match self.acquire(&mut turn, key, lease).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    match self.damaged(key, Some(lease)).await? {
                        None => return Ok(None),
                        Some(_) => continue,
                    }
                }
                Err(error) => return Err(self.failed(error, key)),
                Ok(Acquired::Missing) => return Ok(self.no_record(key)),
                Ok(Acquired::Held(found)) => {
                    let judged = self.judge(key, token, found, asked, client);
                    turn.hold(lease, secrets(&judged));
                    if looked {
                        self.core.observer.waited(key, came.elapsed());
                    }
                    let lease = Some(lease);
                    return Ok(seat(turn, self.unless_damaged(key, token, judged, lease, client).await?));
                }
                Ok(Acquired::Busy) if !looked => {
                    looked = true;
                    match Box::pin(self.look(key, &mut token.clone(), client)).await? {
                        Some(entered) if entered.base.opened != Opened::Frozen => {}
                        settled => return Ok(settled),
                    }
                }
                Ok(Acquired::Busy) => Box::pin(self.wait_for_release(key, came)).await?,
            }
        }
    }

    /// Waits for a turn on this node; not where it would be of no use.
    async fn wait_in_line(
        &self,
        waiting: Waiting,
        key: &StoreKey,
        token: &Option<Token>,
        client: &Client,
        came: Instant,
    ) -> Result<Waited> {
        // A stranger waits for nothing, and what is frozen needs no turn.
        if !token.as_ref().is_some_and(|t| self.core.desk.knows(key, &t.secret.digest())) {
            match self.look(key, &mut token.clone(), client).await? {
                Some(entered) if entered.base.opened != Opened::Frozen => {}
                settled => return Ok(Waited::Settled(settled)),
            }
        }
        let wait = tokio::time::timeout(self.core.policy.lock_wait, waiting.turn()).await;
        self.core.observer.waited(key, came.elapsed());
        wait.map(Waited::Turn).map_err(|_| self.busy(key))
    }

    /// Takes what was handed over with the turn: the record, if it was. It was committed a moment ago.
    async fn take_over(&self, handed: Handed, key: &StoreKey) -> Option<Found> {
        if handed.after_others {
            self.core.store.released(key, OTHERS_FIRST).await;
        }
        handed.into_found()
    }

    /// Asks the store for the lease of a record.
    ///
    /// After an error, and if the client hangs up before the answer is there, the lease may have been taken
    /// all the same: it is given back with the turn.
    async fn acquire(&self, turn: &mut Turn, key: &StoreKey, token: LeaseToken) -> Result<Acquired> {
        let mut unsure = Unsure { turn: Some(turn), token };
        let acquired = self.core.store.acquire(key, Lease { token, ttl: self.core.policy.lease }).await?;
        unsure.turn = None;
        Ok(acquired)
    }

    /// Waits until another node lets go of a record, for as long as a request waits for its turn.
    async fn wait_for_release(&self, key: &StoreKey, came: Instant) -> Result<()> {
        let left = self.core.policy.lock_wait.saturating_sub(came.elapsed());
        if left.is_zero() {
            self.core.observer.waited(key, came.elapsed());
            return Err(self.busy(key));
        }
        self.core.store.released(key, left).await;
        Ok(())
    }

    /// Moves damaged bytes away, and tells of other failures.
    ///
    /// What PHP has written since they were read is no damage: the request is judged by it.
    async fn unless_damaged(
        &self,
        key: &StoreKey,
        token: &mut Option<Token>,
        judged: Result<Option<Entered>>,
        lease: Option<LeaseToken>,
        client: &Client,
    ) -> Result<Option<Entered>> {
        let judged = match judged {
            Err(error) if error.kind() == ErrorKind::Corrupt => match self.damaged(key, lease).await? {
                None => return Ok(None),
                Some(found) => self.judge(key, token, found, self.core.asks(), client),
            },
            judged => judged,
        };
        judged.map_err(|error| self.failed(error, key))
    }

    async fn damaged(&self, key: &StoreKey, lease: Option<LeaseToken>) -> Result<Option<Found>> {
        Box::pin(self.core.set_aside(key, lease)).await.map_err(|error| self.failed(error, key))
    }

    /// Lets a request into a record, or not.
    pub(super) fn judge(
        &self,
        key: &StoreKey,
        token: &mut Option<Token>,
        found: Found,
        asked: Timestamp,
        client: &Client,
    ) -> Result<Option<Entered>> {
        if found.record.payload.len() > self.core.policy.max_record_bytes {
            return Err(too_large());
        }
        let Contents { codec, header, mut values } = self.core.read(key, &found.record, found.now)?;
        if found.now >= found.record.expires_at || found.now >= header.absolute_at {
            self.core.observer.tell(EventKind::Expired, key);
            return Ok(None);
        }
        if header.was_left(found.now) {
            self.core.observer.alarm(Anomaly::StaleSecret, Some(key));
            return Ok(None);
        }
        let opened = self.admit(key, token.as_ref(), &header, found.now, client);
        let Some(opened) = opened else { return Ok(None) };
        // Temp values that are over are stored no more, from the next write on.
        values.retain_marked(|mark| mark.lasts(|| self.core.tick(found.now)));
        let (token, key) = (token.take(), *key);
        let base = Box::new(Base { token, key, found, header, opened, codec, values, asked, turn: None });
        Ok(Some(Entered { base, carried: false }))
    }

    fn admit(
        &self,
        key: &StoreKey,
        token: Option<&Token>,
        header: &Header,
        now: Timestamp,
        client: &Client,
    ) -> Option<Opened> {
        let policy = &self.core.policy;
        let admission = match token {
            // The application itself holds a key, not a secret; it neither rotates nor delivers.
            None => Admission::Current { first: false },
            Some(token) => plan::admit(header, &token.secret.digest(), now, policy.rules),
        };
        let frozen = matches!(header.standing, Standing::Frozen { .. });
        match (admission, token) {
            (Admission::Refused, _) => {
                self.core.observer.alarm(Anomaly::StaleSecret, Some(key));
                return None;
            }
            (Admission::Forwarded { .. }, _) if !frozen => self.core.observer.tell(EventKind::Forwarded, key),
            (_, None) if frozen => return None,
            _ => {}
        }
        if token.is_some() && !client.any_device && !self.is_bound_client(key, header, client) {
            return None;
        }
        if frozen {
            return Some(Opened::Frozen);
        }
        let rotation = match token {
            None => Rotation::Barred,
            // As long as there is a copy of before, there is no other one.
            Some(_) if header.origin_key().is_some() => Rotation::Barred,
            Some(_) => plan::rotation(header, admission, now, self.core.rotate_every(), policy.rules),
        };
        if client.moved && token.is_some() {
            let (admission, rotation) = self.core.renews_cookie(admission, rotation);
            return Some(Opened::Live { admission, rotation });
        }
        Some(Opened::Live { admission, rotation })
    }

    fn is_bound_client(&self, key: &StoreKey, header: &Header, client: &Client) -> bool {
        let differs = |bound: Option<[u8; 8]>, now: Option<[u8; 8]>, matched: bool| {
            matched && bound.is_some() && bound != now
        };
        if differs(header.bound_ip, client.bound_ip, self.core.policy.match_ip.is_some()) {
            self.core.observer.alarm(Anomaly::OtherAddress, Some(key));
            return false;
        }
        if differs(header.bound_agent, client.bound_agent, self.core.policy.match_user_agent) {
            self.core.observer.alarm(Anomaly::OtherAgent, Some(key));
            return false;
        }
        true
    }

    /// Ages flash values, by a page that came after they were last set or aged, once.
    fn age_flash(&self, work: &mut Work, is_background: impl FnOnce() -> bool) -> Result<()> {
        let Some(base) = &work.base else { return Ok(()) };
        let later = self.arrived.shifted(self.core.order_skew(work.skew)) > base.header.flash_at;
        let ages = later && base.opened != Opened::Frozen && work.state.values.any_flash();
        let untimed = self.core.policy.rotate_every.is_some() && base.header.is_untimed();
        let is_for_page = work.access > Access::View && (ages || untimed);
        // Asked last, because it looks for six headers.
        if !is_for_page || is_background() {
            return Ok(());
        }
        if ages {
            let (flash_at, now) = (base.header.flash_at, work.clock(&self.core));
            work.state.run(Step::AgeFlash { flash_at }, &now)?;
        }
        // As CodeIgniter does: from the first page on it is known how old the id is.
        if untimed {
            work.state.note_carried();
        }
        Ok(())
    }

    /// Tells of a cookie that leads to no record: it was ended, purged, or never issued.
    fn no_record<T>(&self, key: &StoreKey) -> Option<T> {
        self.core.observer.tell(EventKind::Missing, key);
        None
    }

    pub(super) fn failed(&self, error: Error, key: &StoreKey) -> Error {
        self.core.observer.failed(error.kind(), Some(key));
        error
    }

    fn busy(&self, key: &StoreKey) -> Error {
        let error = Error::new(
            ErrorKind::Busy,
            "another request held the session for longer than `lock_wait`; try again",
        );
        self.failed(error, key)
    }

    /// Reads the record again after a conflict, for the same request, without waiting for anybody.
    pub(super) async fn read_again(
        &self,
        mut token: Option<Token>,
        key: &StoreKey,
    ) -> Result<Option<Box<Base>>> {
        let client = self.with(|work| std::mem::take(&mut work.client));
        let looked = self.look(key, &mut token, &client).await;
        self.with(|work| work.client = client);
        Ok(looked?.map(|entered| entered.base))
    }
}

#[cfg(feature = "php")]
impl Entered {
    /// Takes the record apart, for what goes on from it.
    pub(super) fn into_parts(self) -> (Box<Base>, Option<Turn>) {
        let Self { mut base, .. } = self;
        let turn = base.turn.take();
        (base, turn)
    }
}

/// What became of a wait on this node.
enum Waited {
    Turn(Turn),
    /// There was nothing to wait for.
    Settled(Option<Entered>),
}

/// A lease of which it is not known whether the store has given it.
struct Unsure<'a> {
    turn: Option<&'a mut Turn>,
    token: LeaseToken,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.hold(self.token, Secrets::default());
        }
    }
}

/// Returns the secrets with which a record opens for those who write, if it does.
fn secrets(judged: &Result<Option<Entered>>) -> Secrets {
    let live = judged.as_ref().ok().and_then(Option::as_ref);
    let live = live.filter(|entered| entered.base.opened != Opened::Frozen);
    live.map_or(Secrets::default(), |Entered { base, .. }| {
        [Some(base.header.secret), base.header.predecessor.as_ref().map(|p| p.digest)]
    })
}

/// Keeps the turn for a request that was let in to write; lets go of it at once for all others.
fn seat(turn: Turn, entered: Option<Entered>) -> Option<Entered> {
    let mut entered = entered?;
    if entered.base.opened != Opened::Frozen {
        entered.base.turn = Some(turn);
    }
    Some(entered)
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "the session record is larger than the limit `max_record_bytes`")
}

impl Work {
    /// Takes over what an earlier extractor of the same request did, the ageing of flash included.
    fn adopt(&mut self, before: &mut Self, core: &super::Core) -> Result<()> {
        if before.state.is_replayable() {
            let values = std::mem::take(&mut self.state.values);
            let flash_at = self.base.as_ref().map_or(Timestamp::EPOCH, |base| base.header.flash_at);
            let (codec, now) = (self.state.codec, self.now(core));
            self.state = before.state.clone();
            self.state.replay(values, codec, flash_at, now)?;
        }
        self.state.extend = before.state.extend;
        // Something may have been derived from it already: a CSRF token.
        self.reserved = before.reserved.take();
        if self.access == Access::Exclusive {
            self.state.forget_steps();
        }
        Ok(())
    }
}

impl From<Concurrency> for Access {
    fn from(concurrency: Concurrency) -> Self {
        match concurrency {
            Concurrency::Exclusive => Self::Exclusive,
            Concurrency::Merge => Self::Merge,
        }
    }
}
