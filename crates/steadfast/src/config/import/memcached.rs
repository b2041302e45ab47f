//! The save paths of CodeIgniter's and php-memcached's handlers.

use super::query::encode;
use super::redis::{Found, Grammar};

/// How sessions are spread over servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// By the remainder of a hash, as CodeIgniter's client does.
    Modulo,
    /// On a ring, as php-memcached's session handler does unless told otherwise.
    Unweighted,
    /// On a ring, by weights.
    Weighted,
}

/// Reads servers with commas between them; else says why they can't be used.
pub(super) fn read(
    path: &str,
    grammar: Grammar,
    prefix: Option<&str>,
    spread: Spread,
) -> Result<Found, &'static str> {
    if path.trim().is_empty() {
        return Err("is empty: CodeIgniter and PHP need a server here");
    }
    if path.starts_with("--") || path.starts_with("PERSISTENT=") {
        return Err("has options of libmemcached before the servers; name them in `store`");
    }
    let mut servers: Vec<(String, u32)> = Vec::new();
    let mut notes = Vec::new();
    for part in path.split(',').map(str::trim) {
        let (address, weight) =
            server(part, grammar).ok_or("is no list of `host:port` with commas between them")?;
        if servers.iter().any(|(known, _)| *known == address) {
            notes.push("names a server twice; it counts once");
        } else {
            servers.push((address, weight));
        }
    }
    let hosts: Vec<_> = servers.iter().map(|(address, _)| address.as_str()).collect();
    let mut dsn = format!("memcached://{}", hosts.join(","));
    let mut options: Vec<_> = prefix.map(|prefix| format!("prefix={}", encode(prefix))).into_iter().collect();
    if servers.len() > 1 {
        let is_weighted = servers.iter().any(|(_, weight)| *weight > 1);
        if is_weighted && grammar != Grammar::Php {
            return Err("has weights, by which CodeIgniter's client spreads sessions in a way of its own; \
                        give all servers the same one");
        }
        if is_weighted && spread != Spread::Weighted {
            notes.push("has weights, which php-memcached's session handler does not heed by default");
        }
        options.push(match spread {
            Spread::Modulo => "distribution=modulo".to_owned(),
            Spread::Unweighted => "distribution=unweighted".to_owned(),
            Spread::Weighted => {
                let weights: Vec<_> =
                    servers.iter().map(|(_, weight)| (*weight).max(1).to_string()).collect();
                format!("distribution=weighted&weights={}", weights.join(","))
            }
        });
    }
    if !options.is_empty() {
        dsn = dsn + "?" + &options.join("&");
    }
    Ok(Found { dsn, notes })
}

/// `host:port`, `host:port:weight`; for PHP a host alone, too.
fn server(part: &str, grammar: Grammar) -> Option<(String, u32)> {
    let mut parts = part.split(':');
    let (host, port, weight) = (parts.next()?, parts.next(), parts.next());
    let port = match port {
        None if grammar == Grammar::Php => 11_211,
        port => port?.parse::<u16>().ok().filter(|port| *port > 0)?,
    };
    let weight = weight.map_or(Some(0), |weight| weight.parse().ok())?;
    let fits = !host.is_empty() && !host.contains(['/', '?', '@', '[']) && parts.next().is_none();
    fits.then(|| (format!("{host}:{port}"), weight))
}
