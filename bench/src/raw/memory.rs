//! Memory: a hash table behind one lock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Key, Raw};
use crate::Result;

/// A blob, and who holds its lease: nobody, if it is zero.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<Key, (Vec<u8>, u64)>>);

impl Memory {
    fn blobs(&self) -> MutexGuard<'_, HashMap<Key, (Vec<u8>, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Raw for Memory {
    async fn connect(_dsn: &str) -> Result<Self> {
        Ok(Self::default())
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.blobs().insert(key, (blob, 0));
        Ok(())
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        Ok(self.blobs().get(&key).ok_or("no such blob")?.0.clone())
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        self.blobs().get_mut(&key).ok_or("no such blob")?.0 = blob;
        Ok(())
    }

    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let mut blobs = self.blobs();
        let (blob, holder) = blobs.get_mut(&key).ok_or("no such blob")?;
        if *holder != 0 {
            return Err("the lease was not free".into());
        }
        *holder = token;
        Ok(blob.clone())
    }

    async fn release(&self, key: Key, token: u64, blob: Vec<u8>) -> Result<()> {
        let mut blobs = self.blobs();
        let held = blobs.get_mut(&key).filter(|(_, holder)| *holder == token);
        *held.ok_or("the lease was lost")? = (blob, 0);
        Ok(())
    }
}
