//! Commands at the store for each request, from the server's own counters.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use steadfast_servers::{Server, redis_command};
use tokio_postgres::NoTls;

use crate::Result;
use crate::contenders::{CEILING, LEASED, MERGE};
use crate::engine::Engine;
use crate::lineup::Web;
use crate::report::Report;

/// Requests that are counted, one after the other.
const TIMES: u32 = 50;

const PATHS: [&str; 5] = ["/none", "/view", "/get", "/incr", "/rotate"];

const PATIENCE: Duration = Duration::from_secs(5);

/// How often each command was called, by its name.
type Counters = BTreeMap<String, u64>;

/// Counts the commands of all that run, and writes the section of the report.
pub(crate) async fn run(webs: &mut [Web], report: &Report) -> Result<()> {
    println!("counting commands");
    let mut text =
        String::from("| engine | | request | commands for each request |\n| --- | --- | --- | --- |\n");
    for web in webs.iter_mut() {
        let (Some(engine), Some(store)) = (web.engine, web.store.clone()) else { continue };
        web.start_sessions().await;
        let is_ceiling = [&CEILING, &LEASED].contains(&web.contender);
        for path in PATHS {
            // The raw calls have no rotation, and a view is the same in both modes.
            if path == "/view" && *web.contender != MERGE || path == "/rotate" && is_ceiling {
                continue;
            }
            // The first ones prepare statements and load scripts.
            let before = match web.repeat(path, 3).await {
                Some(()) => counters(engine, &*store).await?,
                None => break,
            };
            if web.repeat(path, TIMES as usize).await.is_none() {
                break;
            }
            let commands = shown(&before, &counters(engine, &*store).await?);
            let _ = writeln!(text, "| {engine} | {} | `{path}` | {commands} |", web.contender.name);
        }
    }
    report.write("commands", &text)
}

async fn counters(engine: Engine, store: &dyn Server) -> Result<Counters> {
    match engine {
        Engine::Redis => redis(store),
        Engine::Postgres => postgres(store).await,
        Engine::Mariadb => mariadb(store).await,
        Engine::Memcached => memcached(store),
        Engine::Memory | Engine::Files | Engine::Sqlite => Ok(Counters::new()),
    }
}

fn redis(store: &dyn Server) -> Result<Counters> {
    let reply = redis_command(store.address(), &["INFO", "commandstats"])?;
    let lines = reply.text().lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        (name != "info").then(|| (name.replace('|', " "), calls))
    });
    Ok(lines.collect())
}

/// Counts by the first word of each statement.
async fn postgres(store: &dyn Server) -> Result<Counters> {
    let (client, connection) = tokio_postgres::connect(&store.dsn(), NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let rows = client.query("SELECT query, calls FROM pg_stat_statements", &[]).await?;
    connection.abort();
    let mut counters = Counters::new();
    for row in rows {
        let (query, calls): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        if !query.contains("pg_stat_statements") {
            let word = query.split_whitespace().next().unwrap_or_default().to_lowercase();
            *counters.entry(word).or_default() += calls.cast_unsigned();
        }
    }
    Ok(counters)
}

async fn mariadb(store: &dyn Server) -> Result<Counters> {
    const COMMANDS: [&str; 7] = ["begin", "commit", "delete", "insert", "replace", "select", "update"];
    let mut conn = mysql_async::Conn::new(mysql_async::Opts::from_url(&store.dsn())?).await?;
    let rows: Vec<(String, u64)> = conn.query("SHOW GLOBAL STATUS LIKE 'Com\\_%'").await?;
    conn.disconnect().await?;
    let named =
        rows.into_iter().filter_map(|(name, calls)| Some((name.strip_prefix("Com_")?.to_owned(), calls)));
    Ok(named.filter(|(name, _)| COMMANDS.contains(&name.as_str())).collect())
}

fn memcached(store: &dyn Server) -> Result<Counters> {
    let stream = TcpStream::connect_timeout(&store.address(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    (&stream).write_all(b"stats\r\n")?;
    let mut counters = Counters::new();
    for line in BufReader::new(&stream).lines() {
        let line = line?;
        let mut words = line.split(' ').skip(1);
        let (Some(name), Some(count)) = (words.next(), words.next()) else { break };
        if let (Some(name), Ok(count)) = (name.strip_prefix("cmd_"), count.parse()) {
            counters.insert(name.to_owned(), count);
        }
        for deleted in ["delete_hits", "delete_misses"] {
            if name == deleted {
                *counters.entry("delete".to_owned()).or_default() += count.parse::<u64>()?;
            }
        }
    }
    Ok(counters)
}

/// Writes what was counted between, for each request.
fn shown(before: &Counters, after: &Counters) -> String {
    let mut parts = Vec::new();
    for (name, calls) in after {
        let calls = calls.saturating_sub(before.get(name).copied().unwrap_or(0));
        // Less than one in ten requests is something else that happens meanwhile.
        let each = f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) / f64::from(TIMES);
        if each >= 0.1 {
            parts.push(if (each - each.round()).abs() < 0.05 {
                format!("{each:.0} {name}")
            } else {
                format!("{each:.1} {name}")
            });
        }
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}
