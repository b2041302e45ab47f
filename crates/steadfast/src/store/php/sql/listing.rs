//! Lists and purges: many rows, a bounded number at a time.

use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::error::Result;
use crate::store::Listed;

use super::engine::{Engine, Step};
use super::locks::exactly;
use super::names::{ASIDE, Name};
use super::store::SqlStore;
use super::words::Words;

/// Most rows that one statement purges: others wait for them some milliseconds at most.
const BATCH: usize = 100;

impl<E: Engine> SqlStore<E> {
    /// Deletes rows that have expired by the database's time, but none that somebody works on.
    ///
    /// Only this site's: those of another cookie may live longer. What was set aside goes the same way.
    pub(super) async fn purge_rows(&self, limit: NonZeroUsize) -> Result<usize> {
        let prefix = self.locks.names.prefix();
        let aside = format!("{ASIDE}{prefix}");
        let ours = format!("({} OR {})", self.words().is_of(prefix), self.words().is_of(&aside));
        let unused_since = format!("({}-{})", E::Words::NOW, self.site.lifetime.as_micros());
        let mut deleted = 0;
        while deleted < limit.get() {
            let wanted = (limit.get() - deleted).min(BATCH);
            let purge = Step::One(self.words().purge(&ours, &unused_since, wanted));
            let [purged] = exactly(self.locks.call(vec![purge]).await?)?;
            let now_deleted = usize::try_from(purged.found).unwrap_or(wanted);
            deleted += now_deleted;
            if now_deleted < wanted {
                break;
            }
        }
        Ok(deleted)
    }

    /// Lists rows in the order of their names. Damaged ones are left out.
    pub(super) async fn page_of_rows(&self, after: Option<Name>, limit: NonZeroUsize) -> Result<Vec<Listed>> {
        let mut after = after.map(|name| (name.row, name.ip.map(|ip| ip.to_string())));
        let mut listed = Vec::new();
        loop {
            let wanted = limit.get() - listed.len();
            let from = after.as_ref().map(|(row, ip)| (row.as_str(), ip.as_deref()));
            let page = self.words().page(self.locks.names.prefix(), from, wanted);
            let [page] = exactly(self.locks.call(vec![Step::One(page)]).await?)?;
            let found = page.rows.len();
            for row in page.rows {
                after = Some((text(&row, 2), self.locks.names.match_ip().then(|| text(&row, 3))));
                listed.extend(self.listed(row));
            }
            if found < wanted || listed.len() == limit.get() {
                return Ok(listed);
            }
        }
    }

    fn listed(&self, row: Vec<Option<Bytes>>) -> Option<Listed> {
        let key = self.locks.names.key_of(&text(&row, 2), &text(&row, 3))?;
        let (record, _) = self.record(row).ok()?;
        Some(Listed { key, record })
    }
}

fn text(row: &[Option<Bytes>], column: usize) -> String {
    let cell = row.get(column).and_then(Option::as_ref);
    cell.map_or_else(String::new, |cell| String::from_utf8_lossy(cell).into_owned())
}
