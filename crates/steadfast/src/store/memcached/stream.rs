//! The bytes to and from a server: TCP, or a Unix socket.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) enum Endpoint {
    /// Resolved anew for each connection.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

/// Both directions of a connection.
pub(super) struct Stream {
    pub(super) incoming: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) outgoing: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Stream {
    pub(super) async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Requests are small and somebody waits for each.
                stream.set_nodelay(true)?;
                let (incoming, outgoing) = stream.into_split();
                Ok(Self { incoming: Box::new(incoming), outgoing: Box::new(outgoing) })
            }
            Endpoint::Unix(path) => unix(path).await,
        }
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> io::Result<Stream> {
    let (incoming, outgoing) = tokio::net::UnixStream::connect(path).await?.into_split();
    Ok(Stream { incoming: Box::new(incoming), outgoing: Box::new(outgoing) })
}

#[cfg(not(unix))]
async fn unix(_: &std::path::Path) -> io::Result<Stream> {
    Err(io::ErrorKind::Unsupported.into())
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
