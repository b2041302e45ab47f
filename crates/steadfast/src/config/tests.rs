use std::path::PathBuf;

use serde::Deserialize;

use super::*;
use crate::policy::Policy;

fn env(vars: &[(&str, &str)]) -> Settings {
    Settings::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into())))
}

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).expect("TOML")
}

pub(super) fn build(settings: &Settings) -> Result<Policy> {
    settings.apply(Policy::builder()).build()
}

#[track_caller]
pub(super) fn policy(settings: &Settings) -> Policy {
    build(settings).expect("settings that work")
}

#[track_caller]
pub(super) fn faults(settings: &Settings) -> Vec<String> {
    let error = build(settings).expect_err("settings with faults");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    error.to_string().lines().map(str::to_owned).collect()
}

/// A value for each setting that differs from its default, but for those that seal.
const CHANGED: [(&str, &str); 32] = [
    ("store", "memory:"),
    ("idle_timeout", "15m"),
    ("absolute_timeout", "1h"),
    ("remember_idle_timeout", "7d"),
    ("remember_absolute_timeout", "30d"),
    ("rotate_every", "off"),
    ("forward_window", "1m30s"),
    ("concurrency", "merge"),
    ("lock_wait", "2"),
    ("lease", "0.5"),
    ("lease_max", "250000ms"),
    ("on_server_error", "discard"),
    ("codec", if cfg!(feature = "json") { "json" } else { "messagepack" }),
    ("temp_ttl", "60"),
    ("max_record_bytes", "1048576"),
    ("max_keys", "100"),
    ("max_key_bytes", "64"),
    ("max_cookie_bytes", "4000"),
    ("match_ip", "24/64"),
    ("match_user_agent", "true"),
    ("trusted_proxies", "10.0.0.0/8, ::1"),
    ("proxy_header", "forwarded"),
    ("cookie_name", "sid"),
    ("cookie_path", "/shop"),
    ("cookie_domain", "example.org"),
    ("same_site", "Strict"),
    ("partitioned", "true"),
    ("dangerous_insecure_cookie", "false"),
    ("store_deadline", "1500ms"),
    ("breaker_failures", "7"),
    ("breaker_pause", "3s"),
    ("node", "web-1"),
];

/// The same for those that other layouts than the native one have.
const PHP: [(&str, &str); 7] = [
    ("layout", "php"),
    ("php_format", "php_serialize"),
    ("php_ids", "40x4,22-64x6"),
    ("php_user_key", "user_id"),
    ("cookie_lifetime", "90m"),
    ("regenerate_destroy", "true"),
    ("dangerous_adopt_unknown_ids", "true"),
];

#[track_caller]
fn check_changed(settings: &Settings) {
    assert_eq!(settings.store(), Some("memory:"));
    let policy = policy(settings);
    let seconds = Duration::from_secs;
    assert_eq!(policy.idle_timeout, seconds(900));
    assert_eq!(policy.absolute_timeout, seconds(3_600));
    assert_eq!(policy.remember_idle_timeout, seconds(7 * 86_400));
    assert_eq!(policy.remember_absolute_timeout, seconds(30 * 86_400));
    assert_eq!(policy.rotate_every, None);
    assert_eq!(policy.forward_window, seconds(90));
    assert_eq!(policy.concurrency, Concurrency::Merge);
    assert_eq!(policy.lock_wait, seconds(2));
    assert_eq!(policy.lease, Duration::from_millis(500));
    assert_eq!(policy.lease_max, seconds(250));
    assert_eq!(policy.store_deadline, Duration::from_millis(1_500));
    assert_eq!((policy.breaker_failures, policy.breaker_pause), (7, seconds(3)));
    assert_eq!(policy.on_server_error, OnServerError::Discard);
    #[cfg(feature = "json")]
    assert_eq!(policy.codec, Codec::Json);
    assert_eq!(policy.temp_ttl, seconds(60));
    assert_eq!(policy.max_record_bytes, 1_048_576);
    assert_eq!((policy.max_keys, policy.max_key_bytes, policy.max_cookie_bytes), (100, 64, 4_000));
    assert_eq!(policy.match_ip, Some(IpMatch::Prefix { v4: 24, v6: 64 }));
    assert!(policy.match_user_agent);
    let networks: Vec<_> = policy.trusted_proxies.networks.iter().map(Cidr::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(policy.trusted_proxies.header, ProxyHeader::Forwarded);
    assert_eq!(policy.cookie.name, "sid");
    assert_eq!(policy.cookie.path, "/shop");
    assert_eq!(policy.cookie.domain.as_deref(), Some("example.org"));
    assert_eq!(policy.cookie.same_site, SameSite::Strict);
    assert!(policy.cookie.partitioned && policy.cookie.secure);
    assert_eq!(policy.node.as_deref(), Some("web-1"));
}

#[test]
fn every_setting_has_a_name_in_the_environment() {
    let sealing = ["key_ring", "key_ring_file", "refuse_unsealed"];
    let shared = PHP.map(|(name, _)| name);
    let own = CHANGED.map(|(name, _)| name);
    let before = ["migrate_from", "migrate_from_layout", "migrate_from_cookie_name"];
    let names = [&own[..1], &before, &shared[..1], &own[1..], &sealing, &shared[1..]].concat();
    assert_eq!(names, Settings::NAMES);
    let names = CHANGED.map(|(name, value)| (format!("STEADFAST_{}", name.to_uppercase()), value));
    check_changed(&env(&names.each_ref().map(|(name, value)| (name.as_str(), *value))));
}

#[test]
fn every_setting_has_the_same_name_in_toml() {
    let lines = CHANGED.map(|(name, value)| format!("{name} = \"{value}\"\n"));
    check_changed(&toml(&lines.concat()));
}

#[test]
fn toml_values_may_have_their_own_types() {
    let settings = toml(
        "idle_timeout = 900\nlease = 0.5\nmax_keys = 100\nmatch_user_agent = true\n\
         trusted_proxies = ['10.0.0.0/8', '::1']",
    );
    let policy = policy(&settings);
    assert_eq!(policy.idle_timeout, Duration::from_secs(900));
    assert_eq!(policy.lease, Duration::from_millis(500));
    assert_eq!(policy.max_keys, 100);
    assert!(policy.match_user_agent);
    assert_eq!(policy.trusted_proxies.networks.len(), 2);
}

#[test]
fn nothing_set_changes_nothing() {
    let defaults = format!("{:?}", Policy::default());
    for settings in [env(&[("PATH", "/bin"), ("steadfast_lease", "9")]), toml("")] {
        assert_eq!(format!("{:?}", policy(&settings)), defaults);
        assert_eq!(settings.store(), None);
    }
}

#[test]
fn settings_can_be_part_of_an_application_s_own() {
    #[derive(Deserialize)]
    struct Application {
        title: String,
        session: Settings,
    }
    let application: Application =
        toml::from_str("title = 'Shop'\n[session]\nidle_timeout = '5m'").expect("TOML");
    assert_eq!(application.title, "Shop");
    assert_eq!(policy(&application.session).idle_timeout, Duration::from_secs(300));
}

#[test]
fn the_first_of_two_sources_wins() {
    let settings = env(&[("STEADFAST_LEASE", "2s")]).or(toml("lease = '3s'\nlock_wait = '4s'"));
    let policy = policy(&settings);
    assert_eq!(policy.lease, Duration::from_secs(2));
    assert_eq!(policy.lock_wait, Duration::from_secs(4));
}

#[test]
fn settings_win_over_what_the_builder_had() {
    let builder = Policy::builder().match_user_agent().dangerous_insecure_cookie().partitioned();
    let settings = toml("match_user_agent = false\ndangerous_insecure_cookie = false\npartitioned = false");
    let policy = settings.apply(builder).build().expect("settings that work");
    assert!(!policy.match_user_agent && policy.cookie.secure && !policy.cookie.partitioned);
}

#[track_caller]
fn check_fault(name: &str, value: &str, why: &str) {
    let label = format!("STEADFAST_{}", name.to_uppercase());
    let expected = format!("`{label}` ({value}) {why}");
    let faults = faults(&env(&[(&label, value)]));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with(&expected), "{faults:?}");
}

#[test]
fn a_value_that_can_t_be_read_is_named_with_what_it_must_be() {
    check_fault("idle_timeout", "30 minutes", "is no length of time");
    check_fault("idle_timeout", "", "is no length of time");
    check_fault(
        "rotate_every",
        "never",
        "is no length of time: write it as 30m, 1h30m, 250ms or in seconds, or",
    );
    check_fault("max_keys", "-1", "is no number");
    check_fault("match_user_agent", "yes", "must be `true` or `false`");
    check_fault("concurrency", "parallel", "must be `exclusive` or `merge`");
    check_fault("codec", "xml", "must be `messagepack`");
    check_fault("on_server_error", "x", "must be `commit` or `discard`");
    check_fault("same_site", "some", "must be `lax` or `strict` or `none`");
    check_fault("match_ip", "24", "must be `off`, `exact`, or");
    check_fault("match_ip", "24/300", "must be `off`, `exact`, or");
    check_fault("trusted_proxies", "10.0.0.0/8,x", "is refused: `x` is no network");
    check_fault("trusted_proxies", "10.0.0.1/8", "is refused: `10.0.0.1/8` has bits after its prefix");
    check_fault("proxy_header", "x-real-ip", "must be `x-forwarded-for` or `forwarded`");
}

#[test]
fn a_misspelt_name_is_a_fault() {
    let fault = |name| faults(&env(&[(name, "1s")]));
    let why = "is no setting; did you mean `STEADFAST_LEASE`?";
    assert_eq!(fault("STEADFAST_LEASSE"), [format!("`STEADFAST_LEASSE` {why}")]);
    assert_eq!(fault("STEADFAST_lease"), [format!("`STEADFAST_lease` {why}")]);
    assert_eq!(faults(&toml("leasse = 1")), ["`leasse` is no setting; did you mean `lease`?"]);
}

#[test]
fn in_a_file_every_unknown_name_is_a_fault() {
    assert_eq!(faults(&toml("colour = 'red'")), ["`colour` is no setting; remove it"]);
}

#[test]
fn somebody_else_s_name_in_the_environment_is_left_alone() {
    let settings = env(&[("STEADFAST_SKIP", "browser")]);
    assert_eq!(settings.remarks(), ["`STEADFAST_SKIP` is no setting and was left alone"]);
    assert!(build(&settings).is_ok());
}

#[test]
fn faults_of_all_sources_and_of_the_policy_come_together() {
    let settings = env(&[("STEADFAST_LEASE", "x"), ("STEADFAST_LOCKWAIT", "x")])
        .or(toml("max_keys = 0\nlock_wait = 'y'\nsome = 1"))
        .or(toml("match_ip = 'maybe'"));
    let faults = faults(&settings);
    let names: Vec<_> = faults.iter().filter_map(|line| line.split('`').nth(1)).collect();
    let expected = ["lock_wait", "STEADFAST_LEASE", "match_ip", "STEADFAST_LOCKWAIT", "some", "max_keys"];
    assert_eq!(names, expected);
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf_8_is_a_fault_without_the_value() {
    use std::os::unix::ffi::OsStringExt;
    let vars = [("STEADFAST_NODE".into(), OsString::from_vec(vec![b'a', 0xff]))];
    assert_eq!(faults(&Settings::from_vars(vars.into_iter())), ["`STEADFAST_NODE` is not UTF-8"]);
}

#[test]
fn the_store_s_password_is_shown_nowhere() {
    let store = "redis://:hunter2@localhost";
    let both = [("STEADFAST_STORE", store), ("STEADFAST_MIGRATE_FROM", store)];
    for settings in [env(&both), toml(&format!("store = '{store}'\nmigrate_from = '{store}'"))] {
        assert_eq!((settings.store(), settings.migrate_from()), (Some(store), Some(store)));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
    for broken in
        ["lease = 1\nstore = 'redis://:hunter2@h", "store = redis://:hunter2@h", "store = {a='hunter2'}"]
    {
        let error = Settings::from_toml(broken).expect_err("broken TOML");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn a_policy_of_before_has_its_own_layout_and_cookie() {
    let settings = toml("migrate_from = 'files:/old'\nmigrate_from_cookie_name = 'sid'\nidle_timeout = '5m'");
    assert_eq!(settings.migrate_from(), Some("files:/old"));
    let before = settings.apply_before(Policy::builder()).build().expect("settings that work");
    assert_eq!((before.cookie.name.as_str(), before.idle_timeout), ("sid", Duration::from_secs(300)));
    assert_ne!(policy(&settings).cookie.name, "sid");
    assert!(toml("store = 'memory:'").migrate_from().is_none());
}

#[cfg(feature = "php")]
#[test]
fn a_policy_of_before_has_nothing_that_its_layout_has_no_place_for() {
    let settings = toml(
        "migrate_from = 'files:/old'\nmigrate_from_layout = 'ci4'\nphp_user_key = 'user_id'\n\
         match_ip = '24/64'\nmatch_user_agent = true",
    );
    let before = settings.apply_before(Policy::builder()).build().expect("settings that work");
    assert_eq!((before.layout(), before.cookie.name.as_str()), (Layout::CodeIgniter4, "ci_session"));
    assert_eq!(before.php.user_key, "user_id");
    let now = policy(&settings);
    assert_eq!((now.layout(), now.match_user_agent), (Layout::Native, true));
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let error = Settings::from_toml("lease = 1\nlock_wait = = 2\n").expect_err("broken TOML");
    assert!(error.to_string().starts_with("the settings are no TOML: "), "{error}");
    assert!(error.to_string().ends_with("(line 2)"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Settings::from_toml_file("/nonexistent/steadfast.toml").expect_err("no such file");
    assert_eq!(error.to_string(), "cannot read the settings in /nonexistent/steadfast.toml");
}

#[test]
fn the_page_lists_every_setting_with_its_names() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for name in Settings::NAMES {
        let row = format!("| `{name}` | `STEADFAST_{}` |", name.to_uppercase());
        assert!(page.contains(&row), "{row}");
    }
    let rows = page.lines().filter(|line| line.contains("| `STEADFAST_")).count();
    assert_eq!(rows, Settings::NAMES.len());
}

#[cfg(feature = "sealed")]
mod sealing {
    use super::*;

    const KEY: &str = "1vBTuoQU1GAXp1ImVOp2HQYGOYdvKtdXZ6SVGuTJxCU=";

    #[test]
    fn keys_come_from_the_environment_and_from_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), format!("# one\n{KEY}\n")).expect("written");
        let path = file.path().to_str().expect("UTF-8");
        let from_env = policy(&env(&[("STEADFAST_KEY_RING", KEY), ("STEADFAST_REFUSE_UNSEALED", "true")]));
        let from_file = policy(&env(&[("STEADFAST_KEY_RING_FILE", path)]));
        let ids = |policy: &Policy| policy.sealing.ring.as_ref().expect("a ring").ids();
        assert_eq!(ids(&from_env), ids(&from_file));
        assert!(from_env.sealing.refuse_unsealed && !from_file.sealing.refuse_unsealed);
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_without_showing_them() {
        let settings = env(&[
            ("STEADFAST_KEY_RING", &KEY[..40]),
            ("STEADFAST_KEY_RING_FILE", "/nonexistent/keys"),
            ("STEADFAST_REFUSE_UNSEALED", "true"),
        ]);
        let faults = faults(&settings);
        let (key_ring, file) = (&faults[0], &faults[1]);
        assert!(key_ring.starts_with("`STEADFAST_KEY_RING` key 1 is not 32 bytes in base64"), "{key_ring}");
        assert!(file.starts_with("`STEADFAST_KEY_RING_FILE` (/nonexistent/keys) is refused: "), "{file}");
        assert_eq!(faults[2], "`key_ring` and `key_ring_file` are both set; keep one of them");
        assert!(faults[3].starts_with("`refuse_unsealed` (true) needs a `key_ring`"));
        assert!(!format!("{faults:?}{settings:?}").contains(&KEY[..8]));
    }
}

mod php {
    use super::*;

    fn in_environment(names: &[(&str, &str)]) -> Settings {
        let vars = names.iter().map(|(name, value)| (format!("STEADFAST_{}", name.to_uppercase()), value));
        Settings::from_vars(vars.map(|(name, value)| (name.into(), value.into())))
    }

    #[cfg(feature = "php")]
    #[test]
    fn its_settings_are_read() {
        let lines = PHP.map(|(name, value)| format!("{name} = \"{value}\"\n"));
        for settings in [in_environment(&PHP), toml(&lines.concat())] {
            let policy = policy(&settings);
            assert_eq!(policy.layout(), Layout::Php);
            assert_eq!(policy.php.format, crate::PhpFormat::PhpSerialize);
            assert_eq!(policy.php.ids.to_string(), "40x4,22-64x6");
            assert_eq!(policy.php.user_key, "user_id");
            assert_eq!(policy.php.cookie_lifetime, Some(Duration::from_secs(5_400)));
            assert!(policy.php.regenerate_destroy && policy.php.adopt_unknown_ids);
        }
        for layout in ["native", "ci4", "ci3", "php"] {
            assert_eq!(policy(&in_environment(&[("layout", layout)])).layout().as_str(), layout);
        }
    }

    #[cfg(feature = "php")]
    #[test]
    fn what_can_t_be_read_of_them_is_named_with_what_it_must_be() {
        check_fault("layout", "ci2", "must be `native` or `ci4` or `ci3` or `php`");
        check_fault("php_format", "igbinary", "must be `php` or `php_serialize` or `php_binary`");
        check_fault("php_ids", "32", "is refused: `32` is no shape of ids: write it as 32x4 or 22-64x6");
        check_fault("cookie_lifetime", "browser", "is no length of time: write it as 30m, 1h30m, 250ms or");
    }

    #[cfg(not(feature = "php"))]
    #[test]
    fn without_the_feature_it_is_named() {
        for (name, value) in PHP {
            check_fault(name, value, "needs the feature `php`");
        }
        assert_eq!(policy(&in_environment(&[("layout", "native")])).layout(), Layout::Native);
    }
}
