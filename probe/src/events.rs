//! Writes every session event to a file, as one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use steadfast::{Event, EventKind};

/// A file that events are appended to; several probes may share one.
#[derive(Debug)]
pub(crate) struct EventFile(Mutex<File>);

impl EventFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Appends an event. What can't be written is left out: a test tool has nobody to tell.
    pub(crate) fn write(&self, event: &Event<'_>) {
        let line = format!("{}\n", line(event));
        if let Ok(mut file) = self.0.lock() {
            drop(file.write_all(line.as_bytes()));
        }
    }
}

fn line(event: &Event<'_>) -> Value {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut line = json!({
        "at": at,
        "event": event.kind.as_str(),
        "driver": event.driver,
        "node": event.node,
        "tag": event.tag(),
        "count": event.count,
    });
    if let Some(took) = event.took {
        line["took_ms"] = json!(took.as_secs_f64() * 1_000.0);
    }
    match event.kind {
        EventKind::Failed(kind) => line["error"] = json!(kind.as_str()),
        EventKind::Anomaly(_) => line["anomaly"] = json!(true),
        _ => {}
    }
    line
}
