//! The settings of the driver.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::policy::Layout;
use crate::store::files::Io;
use crate::store::php::Site;
use crate::time::{Clock, SystemClock};

use super::error::DRIVER;
use super::names::Names;
use super::operations::Files;
use super::purge::Cursor;
use super::root;
use super::save_path::SavePath;
use super::store::PhpFiles;

/// Settings of [`PhpFiles`], from [`PhpFiles::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PhpFilesOptions {
    site: Site,
    clock: Arc<dyn Clock>,
    io: Io,
    match_ip: bool,
}

impl PhpFilesOptions {
    pub(super) fn new(site: Site) -> Self {
        Self { site, clock: Arc::new(SystemClock), io: Io::default(), match_ip: false }
    }

    /// Sets the clock that decides when records end. PHP goes by the system's, and so does the default,
    /// [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets on which thread files are read and written. The default is [`Io::Inline`].
    pub fn io(mut self, io: Io) -> Self {
        self.io = io;
        self
    }

    /// Sets whether the names of files carry the client's address: CodeIgniter's `matchIP`. The default is no.
    pub fn match_ip(mut self, match_ip: bool) -> Self {
        self.match_ip = match_ip;
        self
    }

    /// Opens the directory that PHP's `save_path` names, and makes it, for its owner alone, if it is not there.
    ///
    /// For PHP's own handler it may be `depth;dir` or `depth;mode;dir`; the directories of the levels must have been
    /// made, as PHP wants it too.
    ///
    /// # Errors
    ///
    /// Of kind [`ErrorKind::InvalidConfig`] if the save path can't be read or names no directory that this process
    /// can make files in, or a setting of the site can't be.
    pub fn open(self, save_path: &str) -> Result<PhpFiles> {
        let Self { site, clock, io, match_ip } = self;
        let at = SavePath::parse(site.layout, save_path);
        let faults: Vec<String> = faults(&site, match_ip).into_iter().chain(at.clone().err()).collect();
        let at = match at {
            Ok(at) if faults.is_empty() => at,
            _ => return Err(Error::new(ErrorKind::InvalidConfig, faults.join("; ")).in_driver(DRIVER)),
        };
        let names = Names::new(site.layout, &site.cookie_name, match_ip, &at);
        let files = Files {
            user: root::open(names.dir())?,
            names,
            mode: at.mode,
            lifetime: site.lifetime,
            clock,
            cursor: Cursor::default(),
        };
        Ok(PhpFiles::new(files, io, site.lock_wait))
    }
}

fn faults(site: &Site, match_ip: bool) -> Vec<String> {
    let Site { layout, cookie_name, lifetime, lock_wait: _ } = site;
    let mut faults = Vec::new();
    if *layout == Layout::Native {
        faults.push("the native layout has no files in common with PHP; choose `ci4`, `ci3` or `php`".into());
    }
    if cookie_name.is_empty() || cookie_name.contains(['/', '\0']) {
        faults.push(format!(
            "the cookie's name `{cookie_name}` can't be a part of a file name; take `/` out of it"
        ));
    }
    if lifetime.is_zero() {
        faults.push(
            "the lifetime is zero, so every session would be over at once; \
             name PHP's `session.gc_maxlifetime`, 1440 seconds unless it was changed"
                .into(),
        );
    }
    if match_ip && *layout == Layout::Php {
        faults.push("PHP's own session files are not bound to addresses; turn `match_ip` off".into());
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn site(layout: Layout) -> Site {
        Site {
            layout,
            cookie_name: "ci_session".to_owned(),
            lifetime: Duration::from_secs(7_200),
            lock_wait: Duration::from_secs(1),
        }
    }

    #[test]
    fn all_faults_are_named_and_nothing_is_made() {
        let wrong = Site { cookie_name: "a/b".to_owned(), lifetime: Duration::ZERO, ..site(Layout::Native) };
        let error = PhpFilesOptions::new(wrong).open("").expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        for part in ["native layout", "`a/b`", "lifetime", "save_path"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let options = PhpFilesOptions::new(site(Layout::Php)).match_ip(true);
        assert!(options.open("never made").is_err());
        assert!(!std::path::Path::new("never made").exists());
    }
}
