//! What stands for the carrier in a build without it: a type that has no value, so that nothing costs anything.

use std::time::Duration;

use crate::error::Result;
use crate::events::Observer;
use crate::record::Header;
use crate::store::{Found, Record};
use crate::time::Timestamp;
use crate::token::Token;

/// There is none in this build.
#[derive(Debug)]
pub(crate) enum Carrier {}

/// There are none in this build.
#[derive(Debug, Default)]
pub(crate) struct Crumbs;

impl Carrier {
    pub(crate) fn collect<'a>(&self, _: impl Iterator<Item = &'a [u8]>) -> Crumbs {
        match *self {}
    }

    pub(crate) fn open(&self, _: &Crumbs, _: Timestamp, _: &Observer) -> Result<Vec<(Token, Found)>> {
        match *self {}
    }

    pub(crate) fn issue(
        &self,
        _: &Crumbs,
        _: &Token,
        _: &Record,
        _: &Header,
        _: Option<Duration>,
    ) -> Result<Vec<String>> {
        match *self {}
    }

    pub(crate) fn remove(&self, _: &Crumbs) -> Vec<String> {
        match *self {}
    }
}
