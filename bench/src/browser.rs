//! A browser: keeps its cookies, opens a connection for each request, and never waits longer than it wants.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;
use crate::http::{Cookies, Response, request};

#[derive(Clone, Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookies: Cookies,
    patience: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Status(u16, String),
    /// The connection was closed without an answer.
    Closed,
    /// There was no answer in time.
    Nothing,
}

impl Browser {
    pub(crate) fn new(address: SocketAddr, patience: Duration) -> Self {
        Self { address, cookies: Cookies::default(), patience }
    }

    /// Returns a browser with the same cookies that waits as long as this.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// Sends a request and takes the cookies of the response.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let began = Instant::now();
        let outcome = match timeout(self.patience, self.send(path)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Closed,
            Err(_) => Outcome::Nothing,
        };
        Answer { outcome, took: began.elapsed() }
    }

    async fn send(&mut self, path: &str) -> Result<Outcome> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&request(path, &self.cookies.line())).await?;
        let mut arrived = Vec::new();
        loop {
            if stream.read_buf(&mut arrived).await? == 0 {
                return Ok(Outcome::Closed);
            }
            if let Some(response) = Response::parse(&arrived)? {
                self.cookies.take(&response);
                return Ok(Outcome::Status(response.status, response.body.to_owned()));
            }
        }
    }
}

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Status(200, _))
    }

    /// Returns a number of the body by its name, if there is one.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let Outcome::Status(200, body) = &self.outcome else { return None };
        serde_json::from_str::<serde_json::Value>(body).ok()?.get(name)?.as_u64()
    }

    /// Says what it was: a status, or none.
    pub(crate) fn shown(&self) -> String {
        match &self.outcome {
            Outcome::Status(status, _) => status.to_string(),
            Outcome::Closed => "closed".to_owned(),
            Outcome::Nothing => "none".to_owned(),
        }
    }
}
