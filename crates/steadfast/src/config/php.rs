//! The settings that only layouts shared with PHP have, and what stands for them in builds without.

use std::time::Duration;

use super::value::FromText;
use crate::policy::PolicyBuilder;

/// A setting that needs the feature `php`.
#[derive(Clone, Debug)]
pub(super) struct Php<T>(T);

impl<T: FromText> FromText for Php<T> {
    fn from_text(text: &str) -> Result<Self, String> {
        if cfg!(not(feature = "php")) {
            return Err("needs the feature `php`".into());
        }
        T::from_text(text).map(Self)
    }
}

#[cfg(feature = "php")]
pub(super) use with::*;
#[cfg(not(feature = "php"))]
pub(super) use without::*;

#[cfg(feature = "php")]
mod with {
    use super::{Duration, FromText, Php, PolicyBuilder};
    use crate::config::value::word;
    use crate::policy::{PhpFormat, PhpIds};

    pub(in crate::config) type Format = PhpFormat;
    pub(in crate::config) type Ids = PhpIds;

    impl FromText for PhpFormat {
        fn from_text(text: &str) -> Result<Self, String> {
            word(
                text,
                &[Self::Php, Self::PhpSerialize, Self::PhpBinary].map(|format| (format.as_str(), format)),
            )
        }
    }

    impl FromText for PhpIds {
        fn from_text(text: &str) -> Result<Self, String> {
            text.parse().map_err(|error| format!("is refused: {error}"))
        }
    }

    pub(in crate::config) fn format(builder: PolicyBuilder, format: Format) -> PolicyBuilder {
        builder.php_format(format)
    }

    pub(in crate::config) fn ids(builder: PolicyBuilder, ids: Ids) -> PolicyBuilder {
        builder.php_ids(ids)
    }

    pub(in crate::config) fn user_key(builder: PolicyBuilder, Php(key): Php<String>) -> PolicyBuilder {
        builder.php_user_key(key)
    }

    pub(in crate::config) fn cookie_lifetime(
        builder: PolicyBuilder,
        Php(lifetime): Php<Option<Duration>>,
    ) -> PolicyBuilder {
        builder.cookie_lifetime(lifetime)
    }

    pub(in crate::config) fn regenerate_destroy(builder: PolicyBuilder, Php(on): Php<bool>) -> PolicyBuilder {
        builder.regenerate_destroy(on)
    }

    pub(in crate::config) fn adopt_unknown_ids(builder: PolicyBuilder, Php(on): Php<bool>) -> PolicyBuilder {
        builder.dangerous_adopt_unknown_ids(on)
    }
}

/// Nothing here is ever called: no text is read as one of these settings in such a build.
#[cfg(not(feature = "php"))]
mod without {
    use super::{Duration, Php, PolicyBuilder};

    pub(in crate::config) type Format = Php<String>;
    pub(in crate::config) type Ids = Php<String>;

    pub(in crate::config) fn nothing<T>(builder: PolicyBuilder, Php(_): Php<T>) -> PolicyBuilder {
        builder
    }

    pub(in crate::config) use {
        nothing as format, nothing as ids, nothing as user_key, nothing as cookie_lifetime,
        nothing as regenerate_destroy, nothing as adopt_unknown_ids,
    };
}
