//! What a request has done to its session so far: the one door through which values change.

use std::sync::Arc;
use std::time::Duration;

use super::Now;
use crate::codec::Encoding;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Fate;
use crate::policy::Limits;
use crate::record::{Mark, Values};
use crate::time::Timestamp;

/// Edits the encoded value of a key; runs again when its request is replayed on a fresher record.
pub(crate) type Edit = Arc<dyn Fn(Encoding, Option<&[u8]>) -> Result<Vec<u8>> + Send + Sync>;

/// One step that a request did, kept so that it can be done again on a fresher record.
#[derive(Clone)]
pub(crate) enum Step {
    Set {
        key: Box<[u8]>,
        value: Vec<u8>,
        mark: Mark,
    },
    Remove {
        key: Box<[u8]>,
    },
    Edit {
        key: Box<[u8]>,
        edit: Edit,
    },
    Take {
        key: Box<[u8]>,
        seen: Box<[u8]>,
    },
    Clear,
    Mark {
        keys: Vec<Box<[u8]>>,
        change: MarkChange,
    },
    RemoveTemp {
        key: Box<[u8]>,
    },
    /// Ages the flash values, unless somebody changed a marker since `flash_at`.
    AgeFlash {
        flash_at: Timestamp,
    },
}

/// How the mark of a value changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MarkChange {
    /// It becomes this, whatever it was.
    To(Mark),
    /// A flash value lasts through one more request; others stay what they are.
    KeepFlash,
    /// A flash value becomes an ordinary one.
    UnmarkFlash,
    /// A temp value becomes an ordinary one.
    UnmarkTemp,
}

impl MarkChange {
    fn of(self, mark: Mark) -> Mark {
        match self {
            Self::To(to) => to,
            Self::KeepFlash if mark.is_flash() => Mark::FlashNew,
            Self::UnmarkFlash if mark.is_flash() => Mark::None,
            Self::UnmarkTemp if mark.is_temp() => Mark::None,
            Self::KeepFlash | Self::UnmarkFlash | Self::UnmarkTemp => mark,
        }
    }

    fn stamps_flash(self) -> bool {
        matches!(self, Self::To(mark) if mark.is_flash()) || matches!(self, Self::KeepFlash)
    }
}

/// Whether the handler's writes still count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Open,
    Closed,
}

/// Who the session belongs to after this request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UserChange {
    Keep,
    Bind(String),
}

/// What a request has done to its session so far.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) codec: Encoding,
    pub(crate) values: Values,
    pub(crate) limits: Limits,
    /// What was done, if it may have to be done again; `None` while nobody else can write.
    steps: Option<Vec<Step>>,
    pub(crate) fate: Fate,
    pub(crate) user: UserChange,
    /// Whether the cookie outlives the browser, if that was changed.
    pub(crate) persistent: Option<bool>,
    written: bool,
    /// A flash marker was set or aged.
    pub(crate) flash_changed: bool,
    pub(crate) extend: bool,
    pub(crate) phase: Phase,
}

impl State {
    pub(crate) fn new(codec: Encoding, values: Values, limits: Limits, replayable: bool) -> Self {
        Self {
            codec,
            values,
            limits,
            steps: replayable.then(Vec::new),
            fate: Fate::Keep,
            user: UserChange::Keep,
            persistent: None,
            written: false,
            flash_changed: false,
            extend: true,
            phase: Phase::Open,
        }
    }

    /// Reports whether there is anything to store.
    pub(crate) fn is_written(&self) -> bool {
        self.written || self.persistent.is_some() || self.user != UserChange::Keep
    }

    /// Reports whether values or the user changed, not only settings.
    pub(crate) fn changes_data(&self) -> bool {
        self.written || self.user != UserChange::Keep
    }

    /// Finds a value that is there now. A null counts as missing, as in CodeIgniter.
    pub(crate) fn get(&self, key: &[u8], now: impl FnOnce() -> Timestamp) -> Option<(&[u8], Mark)> {
        let entry = self.values.get(key)?;
        (entry.mark.lasts(now) && !self.codec.is_null(entry.value)).then_some((entry.value, entry.mark))
    }

    /// Refuses to go on once the session is closed.
    pub(crate) fn writable(&self) -> Result<()> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Closed => Err(Error::new(
                ErrorKind::Closed,
                "the session is closed for this request; write before close() and before the response is sent",
            )),
        }
    }

    /// Does a step, and remembers it if it may have to be done again.
    pub(crate) fn run(&mut self, step: Step, now: Now<'_>) -> Result<Ran> {
        self.writable()?;
        if let Step::Edit { key, .. } = &step {
            self.check_key(key)?;
        }
        let ran = apply(&step, &mut self.values, self.codec, now)?;
        if ran == Ran::Nothing {
            return Ok(ran);
        }
        self.written = true;
        self.flash_changed |= stamps_flash(&step);
        if let Some(steps) = &mut self.steps {
            steps.push(step);
        }
        Ok(ran)
    }

    /// Sets a value, and remembers it if it may have to be set again.
    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, mark: Mark) -> Result<()> {
        self.writable()?;
        self.check_key(key)?;
        if value.len() > self.limits.record_bytes {
            return Err(too_large("a session value is larger than the limit `max_record_bytes`"));
        }
        if let Some(steps) = &mut self.steps {
            steps.push(Step::Set { key: key.into(), value: value.clone(), mark });
        }
        self.values.set(key, value, mark);
        self.written = true;
        self.flash_changed |= mark.is_flash();
        Ok(())
    }

    /// Notes that values came from elsewhere, before the handler did anything.
    pub(crate) fn note_carried(&mut self) {
        self.written = true;
    }

    /// Makes sure that there is a session after this request.
    pub(crate) fn create(&mut self) -> Result<()> {
        self.writable()?;
        self.written = true;
        Ok(())
    }

    /// Ends what was, so that what follows starts anew.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.writable()?;
        self.values.clear();
        self.fate = Fate::End;
        self.user = UserChange::Keep;
        self.persistent = None;
        self.written = false;
        self.flash_changed = false;
        if let Some(steps) = &mut self.steps {
            steps.clear();
        }
        Ok(())
    }

    /// Does everything again on the values of a fresher record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`] if this request did something that can't be done twice: it held the only
    /// right to write and has lost it, or it took a value that has changed since.
    pub(crate) fn replay(
        &mut self,
        mut values: Values,
        codec: Encoding,
        flash_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let Some(steps) = &self.steps else { return Err(stale()) };
        for step in steps {
            match step {
                Step::AgeFlash { flash_at: seen } if *seen != flash_at => {}
                step => {
                    apply(step, &mut values, codec, &|| now)?;
                }
            }
        }
        self.values = values;
        self.codec = codec;
        Ok(())
    }

    /// Reports whether everything can be done again on a fresher record.
    pub(crate) fn is_replayable(&self) -> bool {
        self.steps.is_some()
    }

    /// From now on nobody else writes, so nothing has to be done again.
    pub(crate) fn forget_steps(&mut self) {
        self.steps = None;
    }

    fn check_key(&self, key: &[u8]) -> Result<()> {
        #[cfg(feature = "php")]
        if let Encoding::Php(format) = self.codec
            && self.limits.shared
        {
            check_key_for_php(format, key)?;
        }
        if key.len() > self.limits.key_bytes {
            return Err(too_large("a session key is longer than the limit `max_key_bytes`"));
        }
        if self.values.len() >= self.limits.keys && self.values.get(key).is_none() {
            return Err(too_large("the session has as many keys as the limit `max_keys` allows"));
        }
        Ok(())
    }
}

/// Refuses keys that PHP can't carry, and those that its frameworks and ours keep for themselves.
#[cfg(feature = "php")]
fn check_key_for_php(format: crate::policy::PhpFormat, key: &[u8]) -> Result<()> {
    if crate::layout::is_reserved(key) {
        return Err(Error::new(
            ErrorKind::Codec,
            "this session key is reserved in a layout that is shared with PHP; choose another one",
        ));
    }
    crate::codec::php::check_key(format, key)
}

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Nothing,
    Changed,
}

fn apply(step: &Step, values: &mut Values, codec: Encoding, now: Now<'_>) -> Result<Ran> {
    let changed = match step {
        Step::Set { key, value, mark } => {
            values.set(key, value.clone(), *mark);
            true
        }
        Step::Remove { key } => values.remove(key),
        Step::Edit { key, edit } => {
            let entry = values.get(key).filter(|entry| entry.mark.lasts(now) && !codec.is_null(entry.value));
            let mark = entry.map_or(Mark::None, |entry| entry.mark);
            let value = edit(codec, entry.map(|entry| entry.value))?;
            values.set(key, value, mark);
            true
        }
        Step::Take { key, seen } => {
            if values.get(key).is_none_or(|entry| entry.value != &**seen) {
                return Err(stale());
            }
            values.remove(key)
        }
        Step::Clear => {
            let any = values.len() > 0;
            values.clear();
            any
        }
        Step::Mark { keys, change } => mark(values, keys, *change, now),
        Step::RemoveTemp { key } => {
            values.get(key).is_some_and(|entry| entry.mark.is_temp()) && values.remove(key)
        }
        Step::AgeFlash { .. } => age(values),
    };
    Ok(if changed { Ran::Changed } else { Ran::Nothing })
}

fn mark(values: &mut Values, keys: &[Box<[u8]>], change: MarkChange, now: Now<'_>) -> bool {
    let mut changed = false;
    for key in keys {
        let Some(entry) = values.get(key).filter(|entry| entry.mark.lasts(now)) else { continue };
        let (from, to) = (entry.mark, change.of(entry.mark));
        changed |= from != to && values.set_mark(key, to);
    }
    changed
}

/// Ages the flash values by one request: what was new is in its last request, what was old is gone.
fn age(values: &mut Values) -> bool {
    let mut changed = false;
    values.retain_marked(|mark| {
        changed |= mark.is_flash();
        match *mark {
            Mark::FlashNew => {
                *mark = Mark::FlashOld;
                true
            }
            Mark::FlashOld => false,
            Mark::None | Mark::Temp(_) => true,
        }
    });
    changed
}

fn stamps_flash(step: &Step) -> bool {
    match step {
        Step::AgeFlash { .. } => true,
        Step::Set { mark, .. } => mark.is_flash(),
        Step::Mark { change, .. } => change.stamps_flash(),
        Step::Remove { .. }
        | Step::Edit { .. }
        | Step::Take { .. }
        | Step::Clear
        | Step::RemoveTemp { .. } => false,
    }
}

/// Returns the instant through which a temp value lasts.
pub(crate) fn temp_until(now: Timestamp, ttl: Duration, default_ttl: Duration) -> Mark {
    Mark::Temp(now + if ttl.is_zero() { default_ttl } else { ttl })
}

fn stale() -> Error {
    Error::new(
        ErrorKind::Stale,
        "another request changed the session meanwhile; nothing was written, try again",
    )
}

fn too_large(message: &'static str) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}
