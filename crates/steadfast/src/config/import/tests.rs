use std::fs;
use std::time::Duration;

use super::*;
use crate::config::tests::{faults, policy};
use crate::policy::{IpMatch, SameSite};

fn env(text: &str) -> Settings {
    Settings::from_codeigniter_env(text)
}

fn ini(text: &str) -> Settings {
    Settings::from_php_ini(text)
}

/// A project of CodeIgniter 4 with these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

#[track_caller]
fn check_remark(settings: &Settings, expected: &str) {
    let found: Vec<_> = settings.remarks().iter().filter(|remark| remark.starts_with(expected)).collect();
    assert_eq!(found.len(), 1, "{expected}: {:?}", settings.remarks());
}

/// What a stock project has, with some of it changed.
const SESSION: &str = include_str!("../../../tests/golden/codeigniter4/Session.php");
const COOKIE: &str = include_str!("../../../tests/golden/codeigniter4/Cookie.php");
const DATABASE: &str = include_str!("../../../tests/golden/codeigniter4/Database.php");
const PATHS: &str = include_str!("../../../tests/golden/codeigniter4/Paths.php");
const CONFIG3: &str = include_str!("../../../tests/golden/codeigniter3/config.php");
const DATABASE3: &str = include_str!("../../../tests/golden/codeigniter3/database.php");

mod codeigniter4 {
    use super::*;

    #[test]
    fn its_env_becomes_our_settings() {
        let settings = env("
            # sessions
            session.driver = 'CodeIgniter\\Session\\Handlers\\FileHandler'
            session.cookieName = shop_session
            session.expiration = 3600
            session.savePath = /srv/shop/writable/session
            session.matchIP = true
            session.timeToUpdate = 600
            session.regenerateDestroy = true
            cookie.path = /shop
            cookie.domain = 'example.org'
            cookie.samesite = Strict
            database.default.password = x
            ");
        assert_eq!(settings.store(), Some("files:/srv/shop/writable/session"));
        assert_eq!(settings.remarks(), [""; 0]);
        let policy = policy(&settings);
        assert_eq!(policy.layout(), Layout::CodeIgniter4);
        assert_eq!(policy.cookie.name, "shop_session");
        assert_eq!(policy.idle_timeout, Duration::from_secs(3_600));
        assert_eq!(policy.php.cookie_lifetime, Some(Duration::from_secs(3_600)));
        assert_eq!(policy.match_ip, Some(IpMatch::Exact));
        assert_eq!(policy.rotate_every, Some(Duration::from_secs(600)));
        assert_eq!(policy.cookie.path, "/shop");
        assert_eq!(policy.cookie.domain.as_deref(), Some("example.org"));
        assert_eq!(policy.cookie.same_site, SameSite::Strict);
        assert!(policy.cookie.secure && policy.php.regenerate_destroy);
    }

    #[test]
    fn its_special_values_keep_their_meaning() {
        let settings = env("session.expiration = 0\nsession.timeToUpdate = 0\nsession.matchIP = false\n\
             cookie.domain = ''\ncookie.samesite = ''\ncookie.secure = false");
        let policy = policy(&settings);
        assert_eq!((policy.idle_timeout, policy.php.cookie_lifetime), (Duration::from_secs(1_440), None));
        assert_eq!(policy.rotate_every, None);
        assert_eq!((policy.match_ip, policy.cookie.domain), (None, None));
        assert_eq!(policy.cookie.same_site, SameSite::Lax);
        assert!(!policy.cookie.secure);
        assert_eq!(policy.cookie.name, "ci_session");
    }

    #[test]
    fn its_other_spellings_are_read() {
        for name in ["session.timeToUpdate", "session_timeToUpdate", "app.sessionTimeToUpdate"] {
            let policy = policy(&env(&format!("{name} = 77")));
            assert_eq!(policy.rotate_every, Some(Duration::from_secs(77)));
        }
        assert!(policy(&env("app.sessionMatchIP = true\napp.cookieSameSite = None")).match_ip.is_some());
    }

    #[test]
    fn what_has_no_counterpart_is_remarked_with_its_line() {
        let check = |text: &str, expected: &str| check_remark(&env(text), expected);
        check("\nsession.lockMaxRetries = 3", "`.env:2 session.lockMaxRetries` is not taken over");
        check("session.lockRetryInterval = 3", "`.env:1 session.lockRetryInterval` is not taken over");
        check("session.expiration = 0", "`.env:1 session.expiration` is 0");
        check("cookie.secure = false", "`.env:1 cookie.secure` is false");
        check("session.cookiename = x", "`.env:1 session.cookiename` is no setting");
        check("app.proxyIPs = x", "`.env:1 app.proxyIPs` is not taken over");
        check("session.driver = X\\ArrayHandler", "`.env:1 session.driver` (`ArrayHandler`) is no handler");
        check("session.driver = FileHandler", "`.env:1 session.driver` comes without a folder");
        check("session.savePath = ''", "`.env:1 session.savePath` is empty");
        check("session.savePath = ../s", "`.env:1 session.savePath` is relative");
    }

    #[test]
    fn what_means_the_same_needs_no_remark() {
        let text = "cookie.prefix = x\ncookie.httponly = false\ncookie.raw = true\ncookie.expires = 9\na = b";
        assert_eq!(env(text).remarks(), [""; 0]);
    }

    #[test]
    fn faults_carry_its_names_and_lines() {
        let settings = env("session.expiration = soon\nsession.matchIP = maybe\nsession_matchIP = true\n\
             session.savePath = ${root}/s\ncookie.samesite = some\nsession.driver = RedisHandler");
        let faults = faults(&settings);
        let expected = [
            "`.env:1 session.expiration` (soon) is no length of time: write it as 30m, 1h30m, 250ms or in seconds",
            "`.env:5 cookie.samesite` (some) must be `lax` or `strict` or `none`",
            "`.env:6 session.driver` is empty: CodeIgniter and PHP need a server here",
            "`.env:2 session.matchIP` (maybe) must be `true` or `false`",
            "`.env:3 session_matchIP` is set twice; remove one",
            "`.env:4 session.savePath` refers to another variable; write its value here",
        ];
        assert_eq!(faults, expected);
    }

    #[test]
    fn our_own_settings_win_over_it() {
        let imported =
            env("session.driver = RedisHandler\nsession.savePath = localhost\nsession.expiration = x");
        let own = Settings::from_toml("store = 'redis://cache'\nidle_timeout = '1h'").expect("TOML");
        let settings = own.or(imported);
        assert_eq!(settings.store(), Some("redis://cache"));
        assert_eq!(policy(&settings).idle_timeout, Duration::from_secs(3_600));
    }

    #[test]
    fn its_classes_are_read_as_they_stand() {
        let folder = project(&[
            ("app/Config/Session.php", SESSION),
            ("app/Config/Cookie.php", COOKIE),
            ("app/Config/Paths.php", PATHS),
        ]);
        let settings = Settings::from_codeigniter_config(folder.path()).expect("a project");
        let writable = format!("files:{}/app/Config/../../writable/session", folder.path().display());
        assert_eq!(settings.store(), Some(writable.as_str()));
        let policy = policy(&settings);
        assert_eq!(policy.cookie.name, "ci_session");
        assert_eq!(policy.idle_timeout, Duration::from_secs(60 * 60 * 4));
        assert_eq!((policy.match_ip, policy.php.regenerate_destroy), (None, false));
        assert_eq!(policy.cookie.same_site, SameSite::Lax);
        check_remark(&settings, "`app/Config/Session.php:68 lockMaxRetries` is not taken over");
        check_remark(&settings, "`app/Config/Session.php:76 timeToUpdate` is set by code here");
        check_remark(&settings, "`app/Config/Cookie.php:24 domain` is no literal");
    }

    #[test]
    fn its_env_wins_over_its_classes() {
        let folder = project(&[
            (".env", "session.cookieName = shop\nsession.expiration = 60"),
            ("app/Config/Session.php", SESSION),
        ]);
        let settings = Settings::from_codeigniter_config(folder.path()).expect("a project");
        let policy = policy(&settings);
        assert_eq!((policy.cookie.name.as_str(), policy.idle_timeout), ("shop", Duration::from_secs(60)));
        let writable = format!("files:{}/writable/session", folder.path().display());
        assert_eq!(settings.store(), Some(writable.as_str()));
    }

    #[test]
    fn the_settings_of_older_versions_are_in_another_class() {
        let app = "<?php class App { public $sessionDriver = 'CodeIgniter\\Session\\Handlers\\FileHandler';\n\
             public $sessionCookieName = 'old'; public $sessionSavePath = '/var/s'; public $cookieSecure = true;\n\
             public $proxyIPs = ['10.0.0.1' => 'X-Forwarded-For']; public $other = 5; }";
        let folder = project(&[("app/Config/App.php", app), ("app/Config/Registrar.php", "")]);
        let settings = Settings::from_codeigniter_config(folder.path()).expect("a project");
        assert_eq!(settings.store(), Some("files:/var/s"));
        assert_eq!(policy(&settings).cookie.name, "old");
        check_remark(&settings, "`app/Config/App.php:3 proxyIPs` is not taken over");
        check_remark(&settings, "`app/Config/App.php` has the session's settings, as before");
        check_remark(&settings, "`app/Config/Registrar.php` can change settings");
    }

    #[test]
    fn a_folder_that_is_no_project_is_refused() {
        let folder = project(&[]);
        let error = Settings::from_codeigniter_config(folder.path()).expect_err("no project");
        assert!(error.to_string().starts_with("there is no app/Config/Session.php or App.php in "));
    }

    #[track_caller]
    fn check_database(env: &str, expected: &str) {
        let folder = project(&[
            (".env", env),
            ("app/Config/Session.php", SESSION),
            ("app/Config/Database.php", DATABASE),
        ]);
        let settings = Settings::from_codeigniter_config(folder.path()).expect("a project");
        assert_eq!(settings.store(), Some(expected), "{:?}", settings.remarks());
    }

    #[test]
    fn a_table_is_in_the_group_of_the_sessions() {
        let handler = "session.driver = CodeIgniter\\Session\\Handlers\\DatabaseHandler\nsession.savePath = ci_sessions\n";
        check_database(
            &format!("{handler}database.default.password = 'p@ss/w'"),
            "mysql://shop:p%40ss%2Fw@db.internal:3306/shop?table=ci_sessions",
        );
        check_database(
            &format!("{handler}session.DBGroup = accounts"),
            "postgres://acc@pg/accounts?table=x_ci_sessions&schema=web",
        );
    }

    #[test]
    fn a_table_without_its_database_is_remarked_without_secrets() {
        let handler = "session.driver = DatabaseHandler\nsession.savePath = ci_sessions\n";
        check_remark(
            &env(handler),
            "`.env:2 session.savePath` is a table of the database group `default`, which",
        );
        let folder = project(&[
            (".env", handler),
            ("app/Config/Session.php", SESSION),
            ("app/Config/Database.php", DATABASE),
        ]);
        let settings = Settings::from_codeigniter_config(folder.path()).expect("a project");
        assert_eq!(settings.store(), None);
        check_remark(
            &settings,
            "`.env:2 session.savePath` is a table of the database group `default`, whose `password`",
        );
    }
}

mod save_paths {
    use super::*;

    fn redis(path: &str) -> Settings {
        env(&format!("session.driver = RedisHandler\nsession.savePath = '{path}'"))
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let settings = redis(path);
        assert_eq!(settings.store(), Some(expected), "{path}");
    }

    /// The table of §5.3 in the reference, observed with CodeIgniter 4.7.
    #[test]
    fn redis_of_codeigniter_4() {
        check("127.0.0.1:6379", "redis://127.0.0.1:6379");
        check("localhost:6379", "redis://localhost:6379");
        check("tcp://[::1]:6379", "redis://[::1]:6379");
        check("tls://cache:6380", "rediss://cache:6380");
        check("tcp://h:6379?auth=a+b", "redis://:a%20b@h:6379");
        check("tcp://h:6379?auth=a#b", "redis://:a@h:6379");
        check("tcp://h:6379?auth=p%40ss", "redis://:p%40ss@h:6379");
        check("tcp://h:6379?auth[user]=u&auth[pass]=p", "redis://u:p@h:6379");
        check("tcp://h:6379?auth[]=u&auth[]=p", "redis://u:p@h:6379");
        check("tcp://h:6379?auth%5B%5D=u&auth%5B%5D=p&database=2", "redis://u:p@h:6379/2");
        check("tcp://h:6379?database=two", "redis://h:6379");
        check(
            "tcp://h:6379?timeout=2.5&prefix=shop:&persistent=1",
            "redis://h:6379?prefix=shop%3A&connect_timeout=2500ms",
        );
        check("tcp://user:pw@h:6379", "redis://h:6379");
        check(
            "unix:///run/redis.sock?auth=x&database=3",
            "redis+unix:///run/redis.sock?database=3&password=x",
        );
        check("/run/redis.sock", "redis+unix:///run/redis.sock");
    }

    #[test]
    fn what_codeigniter_takes_for_a_unix_socket_is_one_and_said() {
        let taken =
            "`.env:2 session.savePath` has a path after the host, which CodeIgniter takes for a Unix socket";
        for (path, dsn) in [
            ("tcp://h:6379/2", "redis+unix:///2"),
            ("redis://h:6379/2", "redis+unix:///2"),
            ("tcp://h1:6379,tcp://h2:6379", "redis+unix://h2:6379"),
        ] {
            check(path, dsn);
            check_remark(&redis(path), taken);
        }
    }

    #[track_caller]
    fn check_refused(settings: &Settings, why: &str) {
        assert_eq!(settings.store(), None);
        let faults = faults(settings);
        assert!(faults.len() == 1 && faults[0].contains(why), "{faults:?}");
    }

    #[test]
    fn what_codeigniter_refuses_is_a_fault() {
        check_refused(
            &redis("localhost"),
            "`.env:2 session.savePath` is refused by CodeIgniter: a host alone",
        );
        check_refused(&redis(""), "is empty");
        check_refused(&redis("rediss://h:6379"), "has a scheme that phpredis does not know");
        check_refused(&redis("tcp://:6379"), "has no host and port");
        check_refused(&redis("tcp://h:port"), "has no host and port");
    }

    #[test]
    fn what_is_ignored_there_is_said_without_secrets() {
        let note = |path: &str, what: &str| {
            let settings = redis(path);
            check_remark(&settings, &format!("`.env:2 session.savePath` {what}"));
            assert!(!format!("{settings:?}").contains("hush"), "{settings:?}");
        };
        note("tcp://user:hush@h:6379", "has a user and a password before the host, which PHP ignores");
        note("tcp://h:6379?auth=hush#hush", "is cut at its `#`");
        note("tcp://h:6379?auth=hush&weight=2", "has an option that is not taken over");
        note("tcp://h:6379?auth=hush&database=hush", "has a `database` that is no number");
        note("redis://h:6379?auth=hush", "has the scheme `redis`");
    }

    #[test]
    fn memcached_of_codeigniter() {
        let memcached =
            |path: &str| env(&format!("session.driver = MemcachedHandler\nsession.savePath = '{path}'"));
        assert_eq!(memcached("localhost:11211").store(), Some("memcached://localhost:11211"));
        assert_eq!(memcached("h:11211:5,h:11211:5").store(), Some("memcached://h:11211"));
        let several = "memcached://h1:11211,h2:11211?distribution=modulo";
        assert_eq!(memcached("h1:11211,h2:11211").store(), Some(several));
        check_refused(&memcached("h1:11211:1,h2:11211:5"), "has weights");
        check_refused(&memcached("h"), "is no list of `host:port`");
        check_refused(&memcached("[::1]:11211"), "is no list of `host:port`");
        check_refused(&memcached(""), "is empty");
    }
}

mod codeigniter3 {
    use super::*;

    fn read(config: &str) -> Settings {
        let folder = project(&[
            ("application/config/config.php", config),
            ("application/config/database.php", DATABASE3),
        ]);
        Settings::from_codeigniter3_config(folder.path().join("application/config/config.php"))
            .expect("a file")
    }

    #[test]
    fn its_configuration_becomes_our_settings() {
        let settings = read(CONFIG3);
        assert_eq!(settings.store(), Some("mysql://shop:hush@127.0.0.1/shop?table=ci_sessions"));
        let policy = policy(&settings);
        assert_eq!(policy.layout(), Layout::CodeIgniter3);
        assert_eq!(policy.cookie.name, "shop_session");
        assert_eq!((policy.idle_timeout, policy.rotate_every), (Duration::from_secs(7_200), None));
        assert_eq!(policy.match_ip, Some(IpMatch::Exact));
        assert!(policy.php.regenerate_destroy && !policy.cookie.secure);
        check_remark(&settings, "`config.php:27 sess_expiration` is set by code here");
        check_remark(&settings, "`config.php` does not say which ids PHP makes");
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn names_of_version_2_count_where_version_3_takes_them() {
        let settings = read(
            "<?php $config['sess_use_database'] = TRUE; $config['sess_table_name'] = 'logins';\n\
             $config['sess_expire_on_close'] = TRUE; $config['sess_match_useragent'] = TRUE;\n\
             $config['sess_samesite'] = 'whatever';",
        );
        assert_eq!(settings.store(), Some("mysql://shop:hush@127.0.0.1/shop?table=logins"));
        assert_eq!(policy(&settings).php.cookie_lifetime, None);
        check_remark(&settings, "`config.php:2 sess_match_useragent` is a setting of CodeIgniter 2");
    }

    #[test]
    fn its_redis_takes_what_is_written() {
        let store = |path: &str| {
            let settings = read(&format!(
                "<?php $config['sess_driver'] = 'redis'; $config['sess_save_path'] = '{path}';"
            ));
            settings.store().map(str::to_owned)
        };
        assert_eq!(store("localhost"), Some("redis://localhost".into()));
        assert_eq!(
            store("tcp://h:6379?auth=a+b&timeout=2.0"),
            Some("redis://:a%2Bb@h:6379?connect_timeout=2000ms".into())
        );
        assert_eq!(store("tcp://h:6379?timeout=2"), Some("redis://h:6379".into()));
        assert_eq!(store("unix:///run/r.sock"), Some("redis+unix:///run/r.sock".into()));
        assert_eq!(store("tcp://h:6379/2"), None);
    }

    #[test]
    fn the_folder_of_files_may_be_below_the_application() {
        let settings = read("<?php $config['sess_save_path'] = APPPATH . 'cache/sessions';");
        assert!(settings.store().is_some_and(|store| store.ends_with("/application/cache/sessions")));
        check_remark(
            &read("<?php $config['sess_save_path'] = sys_get_temp_dir();"),
            "`config.php:1 sess_save_path` is no",
        );
        check_remark(
            &read("<?php $config['sess_save_path'] = NULL;"),
            "`config.php:1 sess_save_path` is empty",
        );
    }
}

mod php_ini {
    use super::*;

    #[test]
    fn its_settings_become_ours() {
        let settings = ini("[Session]\nsession.save_handler = files\n; session.save_path = \"/no\"\n\
             session.save_path = \"2;0600;/var/lib/php/sessions\"\nsession.name = SHOP ; the shop's\n\
             session.gc_maxlifetime = 3600\nsession.cookie_lifetime = 600\nsession.cookie_path = /shop\n\
             session.cookie_secure = On\nsession.cookie_samesite = \"Strict\"\nsession.sid_length = 26\n\
             session.sid_bits_per_character = 5\nsession.serialize_handler = php_serialize\n\
             session.gc_probability = 0\nmemory_limit = 128M");
        assert_eq!(settings.store(), Some("files:2;0600;/var/lib/php/sessions"));
        let policy = policy(&settings);
        assert_eq!(policy.layout(), Layout::Php);
        assert_eq!(policy.cookie.name, "SHOP");
        assert_eq!(policy.idle_timeout, Duration::from_secs(3_600));
        assert_eq!(policy.php.cookie_lifetime, Some(Duration::from_secs(600)));
        assert_eq!(policy.php.ids.to_string(), "26x5,22-64x6");
        assert_eq!(policy.php.format, crate::PhpFormat::PhpSerialize);
        assert!(policy.cookie.secure && policy.cookie.path == "/shop");
        check_remark(&settings, "`php.ini:11 session.sid_length` makes `32x5` of CodeIgniter 3");
        check_remark(&settings, "`php.ini:14 session.gc_probability` is not taken over");
    }

    #[test]
    fn a_real_php_s_own_settings_are_read() {
        let program = "foreach (ini_get_all('session', false) as $n => $v) echo \"$n=$v\\n\";";
        let printed = std::process::Command::new("php")
            .args(["-d", "session.save_path=\"2;0600;/srv/s\"", "-d", "session.name=SHOP", "-r", program])
            .output()
            .expect("php runs");
        let settings = ini(&String::from_utf8(printed.stdout).expect("UTF-8"));
        assert_eq!(settings.store(), Some("files:2;0600;/srv/s"));
        let policy = policy(&settings);
        assert_eq!((policy.cookie.name.as_str(), policy.idle_timeout), ("SHOP", Duration::from_secs(1_440)));
        assert_eq!(policy.php.cookie_lifetime, None);
    }

    #[track_caller]
    fn check_store(text: &str, expected: Option<&str>) {
        assert_eq!(ini(text).store(), expected, "{text}");
    }

    #[test]
    fn its_handlers_have_their_own_save_paths() {
        check_store(
            "session.save_handler=redis\nsession.save_path=\"tcp://h:6379?auth=x&database=1\"",
            Some("redis://:x@h:6379/1"),
        );
        check_store(
            "session.save_handler=redis\nsession.save_path=\"tcp://a:1?weight=1, tcp://b:1?weight=1\"",
            None,
        );
        check_store(
            "session.save_handler=memcached\nsession.save_path=\"localhost\"",
            Some("memcached://localhost:11211"),
        );
        check_store(
            "memcached.sess_prefix=\"m.\"\nsession.save_handler=memcached\nsession.save_path=\"a:1,b:2\"",
            Some("memcached://a:1,b:2?prefix=m.&distribution=unweighted"),
        );
        check_store(
            "memcached.sess_consistent_hash=Off\nsession.save_handler=memcached\nsession.save_path=\"a:1,b:2\"",
            Some("memcached://a:1,b:2?distribution=modulo"),
        );
        check_store(
            "memcached.sess_consistent_hash_type=ketama_weighted\nsession.save_handler=memcached\n\
             session.save_path=\"a:1:3,b:2\"",
            Some("memcached://a:1,b:2?distribution=weighted&weights=3,1"),
        );
        check_store("session.save_handler=user", None);
        check_store("php_admin_value[session.save_path] = /pool", Some("files:/pool"));
        check_store("[PATH=/www]\nsession.save_path = /other", None);
        check_store("session.save_path=", None);
    }

    #[test]
    fn what_it_means_otherwise_is_said() {
        let check = |text: &str, expected: &str| check_remark(&ini(text), &format!("`php.ini:1 {expected}"));
        check("session.use_strict_mode = 0", "session.use_strict_mode` is off: PHP takes ids");
        check("session.use_trans_sid = 1", "session.use_trans_sid` lets ids stand in addresses");
        check("session.cookie_httponly = Off", "session.cookie_httponly` is off");
        check("session.cookie_secure = no", "session.cookie_secure` is false");
        check("session.cache_limiter = public", "session.cache_limiter` is not taken over");
        check("redis.session.locking_enabled = 0", "redis.session.locking_enabled` is off");
        check(
            "memcached.sess_number_of_replicas = 1",
            "memcached.sess_number_of_replicas` is not taken over",
        );
        check("session.gc_maxlifetme = 60", "session.gc_maxlifetme` is no setting of PHP's sessions");
        check("session.sid_length = 22", "session.sid_length` makes ids of less than 128 bits");
        check("session.save_handler = sqlite", "session.save_handler` (`sqlite`) is no handler");
        check_remark(
            &ini("[HOST=a]\nsession.name = x"),
            "`php.ini:2 session.name` is for one host or path only",
        );
    }

    #[test]
    fn what_can_t_be_said_is_a_fault() {
        let faults = faults(&ini("session.sid_length = 256\nsession.serialize_handler = igbinary\n\
             session.sid_bits_per_character = x\nsession.save_path = ${HOME}/s\nsession.name = 12\n\
             redis.session.compression = zstd"));
        let expected = [
            "`php.ini:2 session.serialize_handler` (igbinary) must be `php` or `php_serialize` or `php_binary`",
            "`php.ini:1 session.sid_length` (256x4,22-64x6) is refused: `256x4` is not from 22 to 64 characters long",
            "`php.ini:3 session.sid_bits_per_character` is no number",
            "`php.ini:4 session.save_path` refers to another variable; write its value here",
            "`php.ini:6 redis.session.compression` compresses sessions, which is not read here; set it to `none`",
            "`cookie_name` (12) is no name of a session for PHP: without dots, and with something other than digits",
        ];
        assert_eq!(faults, expected);
    }
}
