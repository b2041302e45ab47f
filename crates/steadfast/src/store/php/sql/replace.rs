//! A new row in the place of an old one: both locks, then one transaction.

use crate::error::Result;
use crate::store::{Replaced, StoreKey, Version};

use super::engine::{Answer, Engine, Failure, Step};
use super::locks::{exactly, unexpected};
use super::names::Name;
use super::store::SqlStore;
use super::words::{Row, Words, digest_of};

impl<E: Engine> SqlStore<E> {
    /// Stores the new row and then updates or deletes the old one, over the version that was seen.
    ///
    /// The old row's lock is kept if nothing came of it, and its holder goes on.
    pub(super) async fn locked_replace(
        &self,
        old: &StoreKey,
        old_name: &Name,
        seen: Version,
        frozen: Option<&Row<'_>>,
        new_name: &Name,
        row: &Row<'_>,
    ) -> Result<Replaced> {
        let mut grip = self.locks.any_grip(old, old_name, self.site.lock_wait).await?;
        if self.locks.add(grip.link(), new_name, self.site.lock_wait).await? {
            // Closed with both locks on it: an id that is taken is a miracle, and needs no care.
            return Ok(Replaced::IdTaken);
        }
        let words = self.words();
        let steps = vec![
            Step::Together(vec![
                words.read_to_write(old_name),
                words.insert(new_name, row, Some((old_name, seen))),
                match frozen {
                    Some(frozen) => words.update(old_name, seen, frozen),
                    None => words.delete(old_name, Some(seen)),
                },
            ]),
            Step::One(words.unlock(new_name)),
        ];
        let answers = match self.locks.run(grip.link(), steps).await {
            // All of it was undone, and the locks go with the connection.
            Err(Failure::Duplicate) => return Ok(Replaced::IdTaken),
            answers => answers.map_err(unexpected::<E>)?,
        };
        let [before, inserted, _written, unlocked] = exactly(answers)?;
        let replaced = outcome(&before, &inserted, seen);
        match grip {
            super::locks::Grip::Held(taken) if replaced != Replaced::Stored && unlocked.is_yes() => {
                taken.keep()
            }
            grip => self.locks.give_back(grip.end(), old_name).await,
        }
        Ok(replaced)
    }
}

fn outcome(before: &Answer, inserted: &Answer, seen: Version) -> Replaced {
    let Some(digest) = before.rows.first().and_then(|row| row.first()?.as_ref()) else {
        return Replaced::Missing;
    };
    if digest[..] != *digest_of(seen).as_bytes() {
        return Replaced::Stale;
    }
    if inserted.found == 1 { Replaced::Stored } else { Replaced::IdTaken }
}
