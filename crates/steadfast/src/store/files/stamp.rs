//! The deadline in a file's access time, so that purging needs no more than a `stat` of each live file.
//!
//! The stamp is a hint; the deadline inside the file is the truth. The rule that makes it safe: the stamp
//! may be *earlier* than the deadline, which costs the purge a look inside, but never later, which would
//! let the file be forgotten. A kernel that moves the access time on reading sets it to the present, and
//! the purge looks inside every file whose stamp is not in the future, so that does no harm either. The
//! modification time would not do: every write moves it.

use std::fs::{File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use crate::time::Timestamp;

/// The latest stamp, 2100-01-01: some file systems end soon after it, and none of ours is later.
const LATEST: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

/// Stamps a file with its deadline.
pub(super) fn set(file: &File, expires_at: Timestamp) -> io::Result<()> {
    let deadline = UNIX_EPOCH + Duration::from_micros(expires_at.min(LATEST).as_micros());
    file.set_times(FileTimes::new().set_accessed(deadline))
}

/// Returns the stamp of a file.
pub(super) fn get(file: &Metadata) -> Timestamp {
    let Ok(seconds) = u64::try_from(file.atime()) else { return Timestamp::EPOCH };
    let micros = u64::try_from(file.atime_nsec() / 1_000).unwrap_or(0);
    Timestamp::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_never_later_than_the_deadline() {
        let file = tempfile::tempfile().expect("a temporary file");
        for micros in [0, 1, 1_767_225_600_123_456, 4_102_444_800_000_001, u64::MAX] {
            let deadline = Timestamp::from_micros(micros);
            set(&file, deadline).expect("a file can be stamped");
            let stamp = get(&file.metadata().expect("a file has metadata"));
            assert!(stamp <= deadline, "{stamp:?} > {deadline:?}");
            assert!(stamp >= deadline.min(LATEST) - Duration::from_secs(1), "{stamp:?}");
        }
    }
}
