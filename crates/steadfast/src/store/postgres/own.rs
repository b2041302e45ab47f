//! Connections of the store's own.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Notification};

use super::clients::{Connecting, Held, Role, Source};
use super::error::at_open;
use crate::error::Result;
use crate::store::StoreKey;
use crate::store::waits::Waits;

/// Makes connections from the settings.
pub(in crate::store) struct Own {
    pub(super) config: Config,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
    /// On which channel the ends of leases are announced, unless waiters are to look for themselves.
    pub(super) channel: Option<String>,
    pub(super) waits: Arc<Waits>,
}

impl Own {
    async fn connect(&self, role: Role) -> Result<OwnClient> {
        let channel = self.channel.as_deref().filter(|_| role == Role::Service);
        let listener = channel.map(|_| Listener(Arc::clone(&self.waits)));
        let (client, driver) = self.drive(listener).await.map_err(at_open)?;
        let needs_session = self.config.get_options().is_some();
        let connected = OwnClient { client, driver, listens: channel.is_some(), needs_session };
        if let Some(channel) = channel {
            connected.client.batch_execute(&format!("LISTEN \"{channel}\"")).await.map_err(at_open)?;
        }
        Ok(connected)
    }

    /// Connects, and starts the task that reads and writes for the client as long as there is one.
    async fn drive(
        &self,
        listener: Option<Listener>,
    ) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            return Ok((client, tokio::spawn(run(connection, listener)).abort_handle()));
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        Ok((client, tokio::spawn(run(connection, listener)).abort_handle()))
    }
}

impl Source for Own {
    fn connect(&self, role: Role) -> Connecting<'_> {
        Box::pin(async move { Ok(Box::new(self.connect(role).await?) as Box<dyn Held>) })
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("channel", &self.channel).finish_non_exhaustive()
    }
}

struct OwnClient {
    client: Client,
    driver: AbortHandle,
    listens: bool,
    needs_session: bool,
}

impl Held for OwnClient {
    fn client(&self) -> &Client {
        &self.client
    }

    fn listens(&self) -> bool {
        self.listens
    }

    fn needs_session(&self) -> bool {
        self.needs_session
    }

    fn abandon(&self) {
        self.driver.abort();
    }
}

/// Wakes waiters when a lease was announced to have ended.
struct Listener(Arc<Waits>);

impl Listener {
    fn heard(&self, notification: &Notification) {
        if let Some(key) = StoreKey::from_hex(notification.payload()) {
            self.0.wake(&key);
        }
    }
}

impl Drop for Listener {
    /// Nothing is heard any more: who waits looks again, and makes a new connection to listen on.
    fn drop(&mut self) {
        self.0.wake_all();
    }
}

async fn run<S, T>(mut connection: tokio_postgres::Connection<S, T>, listener: Option<Listener>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    // What ends it is told to the calls that are under way.
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(notification), Some(listener)) = (&message, &listener) {
            listener.heard(notification);
        }
    }
}
