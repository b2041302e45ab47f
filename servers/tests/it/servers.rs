//! Servers: their life, deaths and pauses.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use steadfast_servers::{
    Haproxy, MariaDb, Memcached, Options, PgBouncer, Postgres, Redis, RedisCluster, RedisSentinel, Reply,
    Server, find, redis_command,
};

/// How long nothing may come from a server that is paused. Long enough for one that is not.
const SILENCE: Duration = Duration::from_millis(300);

/// Sends bytes over a new connection, and returns the first ones that come back.
fn ask(server: &dyn Server, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(request)?;
    let mut answer = vec![0; 1_024];
    let len = stream.read(&mut answer)?;
    answer.truncate(len);
    Ok(answer)
}

/// Pauses, resumes, kills and restarts a server, and looks each time whether it answers.
#[track_caller]
fn check_life(server: &dyn Server, request: &[u8]) {
    assert!(!ask(server, request).unwrap().is_empty());
    server.pause();
    let silent = ask(server, request).unwrap_err().kind();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&silent), "{silent:?}");
    server.resume();
    assert!(!ask(server, request).unwrap().is_empty());
    server.kill().unwrap();
    assert_eq!(ask(server, request).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    server.restart().unwrap();
    assert!(!ask(server, request).unwrap().is_empty());
}

#[test]
fn redis_comes_back_with_its_data() {
    let redis = Redis::start_with(&Options::new().set("maxmemory 8mb")).unwrap();
    redis.command(&["SET", "a", "1"]).unwrap();
    check_life(&redis, b"PING\r\n");
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), Reply::Text("1".into()));
    let limit = redis.command(&["CONFIG", "GET", "maxmemory"]).unwrap();
    assert_eq!(limit.field("maxmemory"), Some("8388608"));
    let replica = redis.replica(&Options::new()).unwrap();
    assert_eq!(replica.command(&["GET", "a"]).unwrap(), Reply::Text("1".into()));
}

#[test]
fn the_processor_time_of_a_server_grows_with_its_work() {
    let redis = Redis::start().unwrap();
    let before = redis.processor_time();
    redis.command(&["EVAL", "for i = 1, 3e7 do end", "0"]).unwrap();
    assert!(redis.processor_time() - before >= Duration::from_millis(20));
}

#[test]
fn a_redis_with_a_password_starts() {
    let redis = Redis::start_with(&Options::new().set("requirepass secret")).unwrap();
    assert!(redis.command(&["GET", "a"]).unwrap_err().to_string().contains("NOAUTH"));
}

#[test]
fn a_cluster_comes_back_with_all_slots() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.dsn().matches("127.0.0.1").count(), 3);
    check_life(&cluster, b"PING\r\n");
    let slots = redis_command(cluster.address(), &["CLUSTER", "SLOTS"]).unwrap();
    assert!(matches!(slots, Reply::List(ranges) if ranges.len() == 3));
}

#[test]
fn sentinels_fail_over_and_take_the_old_master_as_a_replica() {
    let sentinel = RedisSentinel::start().unwrap();
    let first = sentinel.master().unwrap().address();
    let killed = sentinel.fail_over().unwrap();
    assert_eq!(killed.address(), first);
    assert_ne!(sentinel.master().unwrap().address(), first);
    killed.restart().unwrap();
    sentinel.await_replica().unwrap();
}

#[test]
fn postgres_and_its_bouncer_come_back_with_their_data() {
    let postgres = Postgres::start_with(&Options::new().set("max_connections=20")).unwrap();
    let bouncer = PgBouncer::start(&postgres).unwrap();
    let psql = |server: &dyn Server, sql: &str| {
        let output =
            Command::new(find("psql").unwrap()).args(["-Atqc", sql, &server.dsn()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    psql(&postgres, "create table t as select 7 as n");
    // A request for encryption, which is answered with a letter.
    let request = [0, 0, 0, 8, 4, 210, 22, 47];
    check_life(&postgres, &request);
    check_life(&bouncer, &request);
    assert_eq!(psql(&bouncer, "select n from t"), "7");
    assert_eq!(psql(&postgres, "show max_connections"), "20");
    assert_eq!(psql(&postgres, "show shared_preload_libraries"), "pg_stat_statements");
}

#[test]
fn a_paused_postgres_is_silent_on_connections_that_are_open() {
    let postgres = Postgres::start().unwrap();
    let asleep = || {
        let psql = find("psql").unwrap();
        Command::new(psql).args(["-Atqc", "select pg_sleep(0.5)", &postgres.dsn()]).spawn().unwrap()
    };
    let mut waits = asleep();
    while ask(&postgres, &[0, 0, 0, 8, 4, 210, 22, 47]).is_err() {}
    let start = Instant::now();
    postgres.pause();
    std::thread::sleep(Duration::from_secs(1));
    assert!(waits.try_wait().unwrap().is_none(), "its process is stopped, too");
    postgres.resume();
    assert!(waits.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn mariadb_comes_back_with_its_data() {
    let mariadb = MariaDb::start_with(&Options::new().set("max_allowed_packet=1M")).unwrap();
    let run = |sql: &str| {
        let port = format!("-P{}", mariadb.port());
        let arguments = ["-h127.0.0.1", "-usteadfast", "-pnot-so-secret", "steadfast", "-Ne", sql, &port];
        let output = Command::new("mariadb").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run("create table t as select 7 as n");
    // It speaks first.
    check_life(&mariadb, b"");
    assert_eq!(run("select n from t"), "7");
    assert_eq!(run("select @@max_allowed_packet"), "1048576");
}

#[test]
fn memcached_comes_back_empty() {
    let memcached = Memcached::start_with(&Options::new().set("-I512k")).unwrap();
    assert_eq!(ask(&memcached, b"set a 0 0 1\r\n1\r\n").unwrap(), b"STORED\r\n");
    check_life(&memcached, b"get a\r\n");
    assert_eq!(ask(&memcached, b"get a\r\n").unwrap(), b"END\r\n");
}

#[test]
fn the_balancer_goes_to_each_node_in_turn_and_hides_no_failure() {
    let nodes = [node("first"), node("second")];
    let balancer = Haproxy::start(&nodes).unwrap();
    let get = || String::from_utf8(ask(&balancer, b"GET / HTTP/1.0\r\n\r\n").unwrap()).unwrap();
    let answers = [get(), get(), get()];
    assert!(answers[0] != answers[1] && answers[0] == answers[2], "{answers:?}");
    check_life(&balancer, b"GET / HTTP/1.0\r\n\r\n");
    let nobody = Haproxy::start(&[std::net::SocketAddr::from(([127, 0, 0, 1], 1))]).unwrap();
    let refused = String::from_utf8(ask(&nobody, b"GET / HTTP/1.0\r\n\r\n").unwrap()).unwrap();
    assert!(refused.contains(" 503 "), "{refused}");
}

/// Serves one text to everybody until the tests end.
fn node(text: &'static str) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 1_024]));
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            drop(stream.write_all(head.as_bytes()));
        }
    });
    address
}

#[test]
fn a_server_that_is_told_nonsense_says_what_it_printed() {
    let error = Redis::start_with(&Options::new().set("no-such-setting yes")).unwrap_err().to_string();
    assert!(error.starts_with("redis did not start:") && error.contains("no-such-setting"), "{error}");
}

#[test]
fn a_server_is_gone_with_its_folder_when_it_is_dropped() {
    let redis = Redis::start().unwrap();
    let (address, folder) = (redis.address(), redis.services()[0].folder().to_owned());
    assert!(folder.exists());
    redis.pause();
    drop(redis);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!folder.exists());
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let redis = std::thread::spawn(Redis::start).join().unwrap().unwrap();
    std::thread::sleep(SILENCE);
    assert_eq!(redis.command(&["PING"]).unwrap(), Reply::Text("PONG".into()));
}
