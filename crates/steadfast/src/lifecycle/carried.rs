//! What is different for a session that travels in cookies: it is opened from them, and committed into them.
//!
//! There is nobody to wait for and nothing to ask, so nothing here is async. A secret does not rotate, since each
//! cookie holds a whole session; nothing is left behind by a change of privilege but what other copies hold.

use super::Core;
use super::exchange::{Access, Client, Exchange, SendCookie, Work};
use super::open::Entered;
use super::prepare::{Afterwards, Fresh, Op};
use crate::carrier::Carrier;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Anomaly, EventKind};
use crate::record::Header;
use crate::store::Record;
use crate::time::Timestamp;
use crate::token::Token;

impl Exchange {
    /// Lets a request into the session that its cookies hold. If they hold two, none is used.
    pub(super) fn unpack(
        &self,
        carrier: &Carrier,
        access: Access,
        client: &Client,
    ) -> Result<Option<Entered>> {
        if access == Access::Exclusive {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a session that travels in cookies can't be held against other requests; take `Session` or `Merge`",
            ));
        }
        let now = self.core.clock.now();
        let mut entered = None;
        for (token, found) in carrier.open(&client.crumbs, now, &self.core.observer)? {
            let key = token.key.store_key();
            let judged = self.judge(&key, &mut Some(token), found, now, client);
            let judged = judged.map_err(|error| self.failed(error, &key))?;
            if judged.is_some() && entered.is_some() {
                self.core.observer.alarm(Anomaly::TwoSessions, None);
                return Ok(None);
            }
            entered = entered.or(judged);
        }
        if let Some(entered) = &entered {
            self.core.observer.tell(EventKind::Loaded, &entered.base.key);
        }
        Ok(entered)
    }
}

impl Work {
    /// Makes the cookies that hold the session as it is after a commit.
    pub(super) fn carry(
        &self,
        core: &Core,
        carrier: &Carrier,
        op: &Op,
        now: Timestamp,
    ) -> Result<Option<SendCookie>> {
        let token = || self.base.as_ref().and_then(|base| base.token.as_ref());
        let (token, record, header) = match op {
            Op::End { .. } => {
                return Ok(Some(SendCookie { headers: carrier.remove(&self.client.crumbs), until: None }));
            }
            Op::Nothing => match (self.afterwards(core, now), &self.base) {
                (Afterwards::Touch(expires_at), Some(base)) => {
                    let record = Record { expires_at, ..base.found.record.clone() };
                    return self.pack(carrier, token(), &record, &base.header, now);
                }
                _ => return Ok(None),
            },
            Op::Create { new } | Op::Replace { new, .. } => {
                let Fresh { token, written, .. } = &**new;
                (Some(token), &written.record, &written.header)
            }
            Op::Update { written, .. } => (token(), &written.record, &written.header),
        };
        self.pack(carrier, token, record, header, now)
    }

    fn pack(
        &self,
        carrier: &Carrier,
        token: Option<&Token>,
        record: &Record,
        header: &Header,
        now: Timestamp,
    ) -> Result<Option<SendCookie>> {
        let Some(token) = token else { return Ok(None) };
        let headers =
            carrier.issue(&self.client.crumbs, token, record, header, header.cookie_lifetime(now))?;
        Ok(Some(SendCookie { headers, until: None }))
    }
}
