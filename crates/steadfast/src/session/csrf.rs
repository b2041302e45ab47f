//! Tokens against forged requests (CSRF): one secret per session, masked anew for each response.
//!
//! The secret is derived from the session's key, so it needs no place in the record, survives rotation and
//! ends with a change of privilege. The mask keeps a compressed response from giving it away (BREACH).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::random;

/// Bytes of the secret and of the mask.
const HALF: usize = 16;

/// # CSRF tokens
impl Session {
    /// Returns a token for the forms of this response. Each call returns another one; all are good as long
    /// as the session's privilege does not change, so ask after [`login`](Self::login), not before.
    ///
    /// A session that does not exist yet is created by it, since a token needs something to belong to.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the end of the request, for a session that does not exist yet,
    /// and always for a handle.
    ///
    /// # Examples
    ///
    /// ```
    /// # use steadfast::{Result, Session};
    /// async fn form(session: Session) -> Result<String> {
    ///     Ok(format!(r#"<input type="hidden" name="token" value="{}">"#, session.csrf_token()?))
    /// }
    ///
    /// async fn posted(session: Session, token: String) -> Result<&'static str> {
    ///     Ok(if session.verify_csrf(token) { "done" } else { "the form was too old; please send it again" })
    /// }
    /// ```
    #[doc(alias = "csrf_hash")]
    pub fn csrf_token(&self) -> Result<String> {
        if self.exchange.is_handle() {
            return Err(Error::new(
                ErrorKind::Closed,
                "a session handle has no CSRF token; make it in a request",
            ));
        }
        let core = self.exchange.core();
        let secret = self.exchange.with(|work| match work.csrf_secret() {
            Some(secret) => Ok(secret),
            None => work.reserve(core).map(|key| key.csrf_secret()),
        })?;
        let mask: [u8; HALF] = random::secret();
        let mut token = [0; 2 * HALF];
        token[..HALF].copy_from_slice(&mask);
        for (at, byte) in token[HALF..].iter_mut().enumerate() {
            *byte = mask[at] ^ secret[at];
        }
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Reports whether a token is one of this session's, in constant time.
    #[doc(alias = "csrf_verify")]
    pub fn verify_csrf(&self, token: impl AsRef<[u8]>) -> bool {
        let Some(secret) = self.exchange.with(|work| work.csrf_secret()) else { return false };
        // One group more than needed, because the decoder asks for whole groups.
        let mut bytes = [0; 2 * HALF + 1];
        if URL_SAFE_NO_PAD.decode_slice(token.as_ref(), &mut bytes).ok() != Some(2 * HALF) {
            return false;
        }
        let mut unmasked = [0; HALF];
        for (at, byte) in unmasked.iter_mut().enumerate() {
            *byte = bytes[at] ^ bytes[HALF + at];
        }
        bool::from(unmasked.ct_eq(&secret))
    }
}
