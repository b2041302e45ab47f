//! The conformance suite, over two handles that share nothing but the directory.

use std::sync::Arc;

use steadfast::conformance::{Harness, TestTime, conformance_suite};
use steadfast::store::Durability;
use steadfast::store::files::{FilesOptions, FilesStore, Io};
use steadfast::testing::ManualClock;

async fn harness(options: FilesOptions) -> Harness {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let path = temp.path().join("sessions");
    let clock = ManualClock::new();
    let options = options.clock(Arc::new(clock.clone()));
    let first = options.clone().open(&path).expect("the directory opens");
    let second = options.open(&path).expect("the directory opens again");
    Harness::new(first, second, TestTime::Manual(clock)).keeping(temp)
}

conformance_suite! { mod files_inline, || harness(FilesStore::options()) }
conformance_suite! { mod files_pool, || harness(FilesStore::options().io(Io::Pool)) }
conformance_suite! { mod files_fsync, || harness(FilesStore::options().durability(Durability::Fsync)) }
