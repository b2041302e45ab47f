use std::time::Duration;

use super::*;
use crate::client::{Cidr, ProxyHeader};
use crate::error::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn faults(builder: PolicyBuilder) -> Vec<String> {
    let Err(error) = builder.build() else { return Vec::new() };
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    error.to_string().lines().map(str::to_owned).collect()
}

/// Checks that a policy has one fault, which begins like this.
#[track_caller]
fn check(builder: PolicyBuilder, expected: &str) {
    let faults = faults(builder);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with(expected), "{faults:?}");
}

#[track_caller]
fn check_fine(builder: PolicyBuilder) {
    assert_eq!(faults(builder), [""; 0]);
}

fn start() -> PolicyBuilder {
    Policy::builder()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let policy = Policy::default();
    assert_eq!(policy.idle_timeout, HOUR / 2);
    assert_eq!(policy.absolute_timeout, 12 * HOUR);
    assert_eq!(policy.remember_idle_timeout, 14 * DAY);
    assert_eq!(policy.remember_absolute_timeout, 90 * DAY);
    assert_eq!(policy.rotate_every, Some(300 * SECOND));
    assert_eq!(policy.forward_window, 60 * SECOND);
    assert_eq!(policy.concurrency, Concurrency::Exclusive);
    assert_eq!(policy.lock_wait, 10 * SECOND);
    assert_eq!(policy.lease, 5 * SECOND);
    assert_eq!(policy.lease_max, 60 * SECOND);
    assert_eq!(policy.on_server_error, OnServerError::Commit);
    assert_eq!(policy.codec, Codec::MessagePack);
    assert_eq!(policy.temp_ttl, 300 * SECOND);
    assert_eq!(policy.max_record_bytes, 16_777_216);
    assert_eq!((policy.max_keys, policy.max_key_bytes), (65_536, 1_024));
    assert_eq!((policy.match_ip, policy.match_user_agent), (None, false));
    assert!(policy.trusted_proxies.networks.is_empty());
    assert_eq!((policy.store_deadline, policy.breaker_pause), (2 * SECOND, SECOND));
    assert_eq!(policy.breaker_failures, 5);
    assert_eq!(policy.node, None);
    assert!(policy.cookie.secure && !policy.cookie.partitioned);
    assert_eq!(policy.cookie.same_site, SameSite::Lax);
}

#[track_caller]
fn check_name(builder: PolicyBuilder, expected: &str) {
    assert_eq!(builder.build().expect("settings that work").cookie.name, expected);
}

#[test]
fn the_cookie_s_name_follows_from_its_attributes_unless_it_is_set() {
    check_name(start(), "__Host-session");
    check_name(start().cookie_path("/app"), "__Secure-session");
    check_name(start().cookie_domain("example.org"), "__Secure-session");
    check_name(start().dangerous_insecure_cookie(), "session");
    check_name(start().dangerous_insecure_cookie().secure_cookie(), "__Host-session");
    check_name(start().cookie_name("ci_session"), "ci_session");
}

#[test]
fn a_length_of_zero_is_refused() {
    let zero = Duration::ZERO;
    check(start().idle_timeout(zero), "`idle_timeout` (0s) is zero");
    check(start().remember_idle_timeout(zero), "`remember_idle_timeout` (0s) is zero");
    check(start().rotate_every(zero), "`rotate_every` (0s) is zero");
    check(start().forward_window(zero), "`forward_window` (0s) is zero");
    check(start().lease(zero), "`lease` (0s) is zero");
    check(start().temp_ttl(zero), "`temp_ttl` (0s) is zero");
    check(start().lease(zero).lease_max(zero).lease(SECOND).lease_max(SECOND).temp_ttl(zero), "`temp_ttl`");
    assert_eq!(faults(start().idle_timeout(zero).absolute_timeout(zero)).len(), 2);
    assert_eq!(faults(start().remember_idle_timeout(zero).remember_absolute_timeout(zero)).len(), 2);
    assert_eq!(faults(start().lease(zero).lease_max(zero)).len(), 2);
}

#[test]
fn a_part_longer_than_its_whole_is_refused() {
    check(
        start().idle_timeout(2 * HOUR).absolute_timeout(HOUR),
        "`idle_timeout` (2h) is longer than `absolute_timeout` (1h)",
    );
    check(
        start().remember_absolute_timeout(13 * DAY),
        "`remember_idle_timeout` (14d) is longer than `remember_absolute_timeout` (13d)",
    );
    check(start().lease(61 * SECOND), "`lease` (1m1s) is longer than `lease_max` (1m)");
    check_fine(start().idle_timeout(HOUR).absolute_timeout(HOUR).lease(60 * SECOND));
}

#[test]
fn nothing_outlives_a_cookie() {
    check(
        start().remember_absolute_timeout(401 * DAY),
        "`remember_absolute_timeout` (401d) is longer than browsers keep a cookie (400d)",
    );
    check(start().absolute_timeout(401 * DAY), "`absolute_timeout` (401d)");
    check_fine(start().remember_absolute_timeout(400 * DAY).absolute_timeout(400 * DAY));
}

#[test]
fn what_works_is_not_refused_although_it_is_unusual() {
    check_fine(start().rotate_every(None));
    check_fine(start().rotate_every(SECOND).forward_window(3 * SECOND));
    check_fine(start().lock_wait(Duration::ZERO));
    check_fine(start().lock_wait(SECOND).lease(5 * SECOND));
    check_fine(start().lease(Duration::from_millis(50)));
}

#[test]
fn limits_are_bounded_on_both_sides() {
    check(start().max_keys(0), "`max_keys` (0) is zero");
    check(start().max_key_bytes(0), "`max_key_bytes` (0) is zero");
    check(start().max_record_bytes(1_023), "`max_key_bytes` (1024) is more than `max_record_bytes` (1023)");
    check(start().max_keys(1 << 32), "`max_keys` (4294967296) is more than");
    check_fine(start().max_record_bytes(1_024));
}

#[test]
fn prefixes_fit_their_addresses() {
    check(start().match_ip(IpMatch::Prefix { v4: 33, v6: 64 }), "`match_ip` (33) has more bits than an IPv4");
    check(
        start().match_ip(IpMatch::Prefix { v4: 24, v6: 129 }),
        "`match_ip` (129) has more bits than an IPv6",
    );
    check_fine(start().match_ip(IpMatch::Prefix { v4: 32, v6: 128 }));
    check_fine(start().match_ip(IpMatch::Exact).match_ip(None));
}

#[test]
fn trusting_everybody_is_refused() {
    for everybody in ["0.0.0.0/0", "::/0"] {
        let network: Cidr = everybody.parse().expect("a network");
        let builder = start().trusted_proxies([network], ProxyHeader::Forwarded);
        check(builder, &format!("`trusted_proxies` ({everybody}) trusts everybody"));
    }
}

#[test]
fn a_node_s_name_fits_a_log_line() {
    check(start().node(""), "`node` ()");
    check(start().node("a\nb"), "`node` (a\\nb)");
    check(start().node("x".repeat(129)), "`node` (x");
    check_fine(start().node("web-1 (Zürich)"));
}

#[test]
fn a_cookie_s_name_is_a_token() {
    for name in ["", "a b", "a=b", "a;b", "a,b", "a\"b", "ä", "a\0", "a/b", "[a]"] {
        check(start().cookie_name(name), "`cookie_name` (");
    }
    check(start().cookie_name("n".repeat(257)), "`cookie_name` (nnn");
    check_fine(start().cookie_name("!#$%&'*+-.^_`|~aZ09"));
}

#[test]
fn a_prefix_is_refused_without_its_conditions() {
    for name in ["__Host-s", "__host-s", "__HOST-HTTP-s", "__Secure-s", "__secure-s", "__Http-s"] {
        check(
            start().dangerous_insecure_cookie().cookie_name(name),
            &format!("`cookie_name` ({name}) has a prefix that needs a secure cookie"),
        );
        check_fine(start().cookie_name(name));
    }
    for name in ["__Host-s", "__hOST-s", "__Host-Http-s"] {
        check(start().cookie_path("/app").cookie_name(name), "`cookie_name` (__");
        check(start().cookie_domain("example.org").cookie_name(name), "`cookie_name` (__");
    }
    check_fine(start().cookie_domain("example.org").cookie_name("__Secure-s"));
    check_fine(start().dangerous_insecure_cookie().cookie_name("__Hosts"));
}

#[test]
fn attributes_that_need_a_secure_cookie_are_refused_without_it() {
    let insecure = || start().dangerous_insecure_cookie();
    check(insecure().same_site(SameSite::None), "`same_site` (None) needs a secure cookie");
    check(insecure().partitioned(), "`partitioned` (true) needs a secure cookie");
    check_fine(insecure().same_site(SameSite::Strict).partitioned().unpartitioned());
    check_fine(start().same_site(SameSite::None).partitioned());
}

#[test]
fn a_path_can_t_add_attributes() {
    for path in ["", "app", "/a;b", "/a,b", "/a\r\nb", "/ä", "/\u{7f}"] {
        check(start().cookie_path(path), "`cookie_path` (");
    }
    check(start().cookie_path(format!("/{}", "p".repeat(1_024))), "`cookie_path` (/ppp");
    check_fine(start().cookie_path("/app/%C3%A4"));
}

#[test]
fn a_domain_is_a_host_name() {
    for domain in
        ["", ".example.org", "example.org.", "a..b", "a;b", "a,b", "a b", "a\n", "ä.org", "-a.org", "a:80"]
    {
        check(start().cookie_domain(domain), "`cookie_domain` (");
    }
    check_fine(start().cookie_domain("xn--mnchen-3ya.example_1.org"));
}

#[test]
fn all_faults_are_reported_at_once() {
    let builder = start()
        .idle_timeout(2 * DAY)
        .max_keys(0)
        .match_ip(IpMatch::Prefix { v4: 99, v6: 64 })
        .dangerous_insecure_cookie()
        .cookie_name("__Host-s")
        .cookie_domain(".example.org")
        .partitioned();
    let faults = faults(builder);
    let fields: Vec<_> = faults.iter().filter_map(|line| line.split('`').nth(1)).collect();
    let expected = [
        "idle_timeout",
        "max_keys",
        "match_ip",
        "cookie_name",
        "cookie_name",
        "cookie_domain",
        "partitioned",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_value_can_t_forge_a_line_of_its_own() {
    assert_eq!(faults(start().cookie_path("x\n`lease` (9h) is fine")).len(), 1);
}

#[cfg(feature = "php")]
mod shared_with_php {
    use super::*;

    const SHARED: [Layout; 3] = [Layout::CodeIgniter4, Layout::CodeIgniter3, Layout::Php];

    fn layout(layout: Layout) -> PolicyBuilder {
        start().layout(layout)
    }

    fn policy(builder: PolicyBuilder) -> Policy {
        builder.build().expect("settings that work")
    }

    #[test]
    fn the_defaults_are_those_of_its_configuration() {
        for codeigniter in [Layout::CodeIgniter4, Layout::CodeIgniter3] {
            let policy = policy(layout(codeigniter));
            assert_eq!((policy.idle_timeout, policy.rotate_every), (2 * HOUR, Some(300 * SECOND)));
            assert_eq!(policy.php.cookie_lifetime, Some(2 * HOUR));
            assert_eq!(policy.cookie.name, "ci_session");
        }
        let policy = policy(layout(Layout::Php));
        assert_eq!((policy.idle_timeout, policy.rotate_every), (1_440 * SECOND, None));
        assert_eq!((policy.php.cookie_lifetime, policy.cookie.name.as_str()), (None, "PHPSESSID"));
    }

    #[test]
    fn the_other_defaults_are_the_documented_ones() {
        for shared in SHARED {
            let policy = policy(layout(shared));
            assert_eq!(policy.layout(), shared);
            assert_eq!(policy.absolute_timeout, Duration::MAX);
            assert_eq!(policy.remember_idle_timeout, policy.idle_timeout);
            assert_eq!(policy.php.format, PhpFormat::Php);
            assert_eq!(policy.php.user_key, "__steadfast_user");
            assert!(!policy.php.regenerate_destroy && !policy.php.adopt_unknown_ids);
            assert!(policy.cookie.secure);
        }
        let ids = |shared| policy(layout(shared)).php.ids.to_string();
        assert_eq!(SHARED.map(ids), ["32x4", "32x4,40x4,32x5,27-64x6", "32x4,22-64x6"]);
    }

    #[test]
    fn what_is_set_wins_in_whatever_order() {
        for (before, after) in [(start().idle_timeout(HOUR), start()), (start(), start().idle_timeout(HOUR))]
        {
            let builder = match after.given.idle_timeout {
                Some(timeout) => before.layout(Layout::CodeIgniter4).idle_timeout(timeout),
                None => before.layout(Layout::CodeIgniter4),
            };
            let policy = policy(builder);
            assert_eq!((policy.idle_timeout, policy.php.cookie_lifetime), (HOUR, Some(HOUR)));
        }
        let policy = policy(layout(Layout::Php).rotate_every(HOUR).cookie_name("sid").cookie_lifetime(DAY));
        assert_eq!((policy.rotate_every, policy.cookie.name.as_str()), (Some(HOUR), "sid"));
        assert_eq!(policy.php.cookie_lifetime, Some(DAY));
        let policy = self::policy(layout(Layout::CodeIgniter4).rotate_every(None).cookie_lifetime(None));
        assert_eq!((policy.rotate_every, policy.php.cookie_lifetime), (None, None));
        let policy = self::policy(layout(Layout::CodeIgniter4).layout(Layout::Native));
        assert_eq!((policy.idle_timeout, policy.cookie.name.as_str()), (HOUR / 2, "__Host-session"));
    }

    #[test]
    fn a_cookie_is_kept_no_longer_than_browsers_do() {
        let policy = policy(layout(Layout::CodeIgniter4).idle_timeout(730 * DAY));
        assert_eq!((policy.idle_timeout, policy.php.cookie_lifetime), (730 * DAY, Some(400 * DAY)));
    }

    #[test]
    fn what_its_records_have_no_room_for_is_refused() {
        for shared in SHARED {
            let name = shared.as_str();
            let no_place = |field| format!("`{field}` has no place in the layout `{name}`: ");
            check(layout(shared).absolute_timeout(DAY), &no_place("absolute_timeout"));
            check(layout(shared).remember_idle_timeout(HOUR), &no_place("remember_idle_timeout"));
            check(layout(shared).remember_absolute_timeout(DAY), &no_place("remember_absolute_timeout"));
            check(layout(shared).match_user_agent(), &no_place("match_user_agent"));
            check(layout(shared).match_ip(IpMatch::Prefix { v4: 24, v6: 64 }), &no_place("match_ip"));
            #[cfg(feature = "json")]
            check(layout(shared).codec(Codec::Json), &no_place("codec"));
            #[cfg(feature = "sealed")]
            check(
                layout(shared).key_ring(
                    crate::KeyRing::from_bytes([std::array::from_fn(|at| at as u8)]).expect("a key"),
                ),
                &no_place("key_ring"),
            );
        }
        check_fine(layout(Layout::CodeIgniter4).match_ip(IpMatch::Exact));
        check_fine(layout(Layout::CodeIgniter3).match_ip(IpMatch::Exact));
        check(layout(Layout::Php).match_ip(IpMatch::Exact), "`match_ip` has no place in the layout `php`");
    }

    #[test]
    fn the_user_s_key_is_one_that_php_can_write() {
        for key in ["", "a|b", "7", "-3", "__ci_vars", "__ci_last_regenerate", "sess_new_id", "fwd_expires"] {
            check(layout(Layout::CodeIgniter4).php_user_key(key), "`php_user_key` (");
        }
        for key in ["user_id", "07", "1.5", "user.id", "-0"] {
            check_fine(layout(Layout::CodeIgniter4).php_user_key(key));
        }
    }

    #[test]
    fn a_cookie_s_name_is_one_that_php_starts_a_session_with() {
        for name in ["123", "ci.session"] {
            check(layout(Layout::Php).cookie_name(name), &format!("`cookie_name` ({name}) is no name of a"));
            check_fine(start().cookie_name(name));
        }
        check(layout(Layout::Php).cookie_name(""), "`cookie_name` () is no cookie name");
        check_fine(layout(Layout::Php).cookie_name("__Host-shop2"));
    }

    #[test]
    fn a_cookie_without_a_lifetime_is_refused() {
        check(layout(Layout::Php).cookie_lifetime(Duration::ZERO), "`cookie_lifetime` (0s) is zero");
    }

    #[test]
    fn what_only_these_layouts_know_is_without_effect_in_the_native_one() {
        let builder = start()
            .php_format(PhpFormat::PhpSerialize)
            .php_user_key("7")
            .cookie_lifetime(Duration::ZERO)
            .regenerate_destroy(true)
            .dangerous_adopt_unknown_ids(true);
        check_fine(builder);
    }
}
