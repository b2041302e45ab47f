//! The proxy: each kind of harm, and its end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use steadfast_servers::Proxy;

/// Longer than anything takes that is not held up on purpose.
const SILENCE: Duration = Duration::from_millis(200);

/// Sends back what it is sent.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 1_024];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..len]).unwrap();
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream
}

fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn what_is_sent_arrives_and_is_counted() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    assert_eq!(say(&mut stream, "one").unwrap(), "one");
    assert_eq!(say(&mut stream, "three").unwrap(), "three");
    let traffic = proxy.traffic();
    assert_eq!((traffic.connections, traffic.requests.bytes, traffic.requests.packets), (1, 8, 2));
    assert_eq!((traffic.answers.bytes, traffic.answers.packets), (8, 2));
    drop(stream);
    let target = "redis://127.0.0.1:7";
    let proxy = Proxy::start("127.0.0.1:7".parse().unwrap()).unwrap();
    assert_eq!(proxy.dsn(target), format!("redis://{}", proxy.address()));
}

#[test]
fn latency_is_added_once_to_what_is_sent_together() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    proxy.latency(Duration::from_millis(100));
    let start = Instant::now();
    for _ in 0..5 {
        stream.write_all(b"x").unwrap();
    }
    stream.read_exact(&mut [0; 5]).unwrap();
    let took = start.elapsed();
    assert!((100..200).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_reset_ends_what_is_open_and_nothing_else() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    say(&mut stream, "a").unwrap();
    proxy.reset_all();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(say(&mut connect(&proxy), "b").unwrap(), "b");
}

#[test]
fn a_proxy_that_refuses_is_not_there() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    say(&mut stream, "a").unwrap();
    proxy.refuse();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.restore().unwrap();
    assert_eq!(say(&mut connect(&proxy), "b").unwrap(), "b");
}

#[test]
fn a_black_hole_holds_everything_until_it_ends() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    say(&mut stream, "a").unwrap();
    proxy.blackhole();
    let silent = say(&mut stream, "late").unwrap_err().kind();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&silent), "{silent:?}");
    proxy.restore().unwrap();
    let mut late = [0; 4];
    stream.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late");
}

#[test]
fn an_answer_is_cut_once_and_where_it_was_asked() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = connect(&proxy);
    proxy.cut_after(6);
    assert_eq!(say(&mut stream, "four").unwrap(), "four");
    assert_eq!(say(&mut stream, "again").unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut next = connect(&proxy);
    assert_eq!(say(&mut next, "nothing is cut twice").unwrap(), "nothing is cut twice");
    proxy.cut_requests_after(0);
    assert_eq!(say(&mut next, "x").unwrap_err().kind(), ErrorKind::ConnectionReset);
}
