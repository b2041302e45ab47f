//! Files: one for each blob, opened anew for each call, as a million of them can't stay open; written in place.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::{BLOB, Key, Raw};
use crate::Result;

/// Bytes before the blob: who holds the lease, zero for nobody.
const HOLDER: usize = 8;

pub(crate) struct Files(PathBuf);

impl Files {
    fn path(&self, key: Key) -> PathBuf {
        self.0.join(String::from_utf8_lossy(&key).as_ref())
    }

    fn open(&self, key: Key) -> Result<File> {
        Ok(File::options().read(true).write(true).open(self.path(key))?)
    }
}

impl Raw for Files {
    async fn connect(dsn: &str) -> Result<Self> {
        let folder = PathBuf::from(dsn.strip_prefix("files:").ok_or("no folder")?);
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    async fn create(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        Ok(std::fs::write(self.path(key), [&[0; HOLDER][..], &blob].concat())?)
    }

    async fn read(&self, key: Key) -> Result<Vec<u8>> {
        let mut blob = vec![0; BLOB];
        File::open(self.path(key))?.read_exact_at(&mut blob, HOLDER as u64)?;
        Ok(blob)
    }

    async fn write(&self, key: Key, blob: Vec<u8>) -> Result<()> {
        Ok(self.open(key)?.write_all_at(&blob, HOLDER as u64)?)
    }

    /// Nothing keeps two from holding it at once: a real one would need a lock beside the file.
    async fn acquire(&self, key: Key, token: u64) -> Result<Vec<u8>> {
        let (file, mut bytes) = (self.open(key)?, vec![0; HOLDER + BLOB]);
        file.read_exact_at(&mut bytes, 0)?;
        if bytes[..HOLDER] != [0; HOLDER] {
            return Err("the lease was not free".into());
        }
        file.write_all_at(&token.to_le_bytes(), 0)?;
        Ok(bytes.split_off(HOLDER))
    }

    async fn release(&self, key: Key, _token: u64, blob: Vec<u8>) -> Result<()> {
        Ok(self.open(key)?.write_all_at(&[&[0; HOLDER][..], &blob].concat(), 0)?)
    }
}
