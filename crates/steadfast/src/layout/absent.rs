//! Stands in for the layouts of PHP where the feature `php` is off: there is none, so nothing here ever runs.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Encoding;
use crate::error::Result;
use crate::policy::Policy;
use crate::record::{Contents, Header, Values};
use crate::store::{Record, StoreKey};
use crate::time::Timestamp;
use crate::token::Token;

/// No layout of PHP's.
#[derive(Debug)]
pub(crate) enum PhpLayout {}

impl PhpLayout {
    pub(crate) fn new(_: &Policy) -> Option<Self> {
        None
    }

    pub(crate) fn encoding(&self) -> Encoding {
        match *self {}
    }

    pub(crate) fn token(&self, _: &[u8], _: Option<IpAddr>) -> Option<Token> {
        match *self {}
    }

    pub(crate) fn fresh_token(&self, _: Option<IpAddr>) -> Token {
        match *self {}
    }

    pub(crate) fn read(&self, _: &StoreKey, _: &Record, _: Timestamp) -> Result<Contents> {
        match *self {}
    }

    pub(crate) fn write(&self, _: &Header, _: &Values) -> Result<Bytes> {
        match *self {}
    }

    pub(crate) fn token_after(&self, _: &Token, _: Option<IpAddr>) -> Token {
        match *self {}
    }

    pub(crate) fn native_token(&self, _: &Token) -> Token {
        match *self {}
    }

    pub(crate) fn writes_as(&self, _: &Self) -> bool {
        match *self {}
    }

    pub(crate) fn carries(&self, _: &[u8]) -> bool {
        match *self {}
    }

    pub(crate) fn moved_side(
        &self,
        _: &StoreKey,
        _: &Values,
        _: Option<[u8; 16]>,
        _: Option<Timestamp>,
    ) -> PhpSide {
        match *self {}
    }

    pub(crate) fn adopts_ids(&self) -> bool {
        match *self {}
    }

    pub(crate) fn fresh_side(&self) -> PhpSide {
        match *self {}
    }

    pub(crate) fn cookie_lifetime(&self) -> Option<Duration> {
        match *self {}
    }
}

/// Nothing of PHP's beside a header.
#[derive(Clone, Debug)]
pub(crate) enum PhpSide {}

impl PhpSide {
    pub(crate) fn was_left(&self, _: Timestamp) -> bool {
        match *self {}
    }

    pub(crate) fn is_untimed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn moved_to(&self) -> Option<StoreKey> {
        match *self {}
    }

    pub(crate) fn origin_until(&self) -> Option<Timestamp> {
        match *self {}
    }

    pub(crate) fn origin_key(&self) -> Option<StoreKey> {
        match *self {}
    }
}
