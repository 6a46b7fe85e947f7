//! The way to Redis that the cache and the limiter share: one connection that many callers use at once, made when it is first needed and
//! made again when it is lost. Whoever asks gets an answer or an error within the time that the settings give, whatever the state of the
//! network: no call waits for a second try, because for both there is something better to do without an answer.
//!
//! After a failure nobody tries for as long again: a host that swallows packets would otherwise make every request wait. The library's own
//! manager of connections is not used, since it keeps an error that is not the network's (a wrong password, a server that is loading) for
//! good.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation, TlsCertificates,
    aio::MultiplexedConnection,
};
use tokio::sync::Mutex;
use types::Timestamp;

use super::{EngineError, authority};
use crate::{clock::Clock, settings::RedisSettings};

/// Why Redis gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Down {
    #[error("Redis cannot be reached or refuses: {0}")]
    Refused(#[source] Arc<RedisError>),
    #[error("Redis gave no answer within {0:?}")]
    Slow(Duration),
    #[error("Redis did not answer a moment ago; it is asked again soon")]
    Resting,
}

/// A Redis server; clones share the connection.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    /// How long an answer may take, and how long nobody asks after a failure.
    limit: Duration,
    prefix: String,
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    /// Counts connections, so that a late failure of an old one does not end the new one.
    made: AtomicI64,
    /// Microseconds since 1970.
    rests_until: AtomicI64,
    /// The machine's, whatever the clock of those who ask: what is waited for is a machine.
    clock: Clock,
}

impl fmt::Debug for Redis {
    /// Without the address: there is a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis(within {:?})", self.0.limit)
    }
}

impl Redis {
    /// Reads the address and the authority; connects to nothing yet.
    ///
    /// # Errors
    /// [`EngineError`] when the address is none, or the file with the authority cannot be used.
    pub fn new(settings: &RedisSettings) -> Result<Self, EngineError> {
        const KEY: &str = "engines.redis.url";
        // The library's own words may hold the address, and that holds the password.
        let refused =
            |_: RedisError| EngineError::Refused { key: KEY, reason: "it is no address such as rediss://user:password@host:6379/0".into() };
        let url = settings.url.as_ref().ok_or(EngineError::Unset { setting: "stores.cache", engine: "redis", key: KEY })?;
        let secure = url.expose().starts_with("rediss://");
        let address = url.expose().into_connection_info().map_err(refused)?;
        let root_cert = authority("engines.redis.ca_file", &settings.ca_file)?;
        let client = match (secure, root_cert) {
            (true, root_cert) => Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert })
                .map_err(|error| EngineError::Refused { key: "engines.redis.ca_file", reason: error.to_string() })?,
            (false, Some(_)) => {
                let reason = "it is for TLS, and `engines.redis.url` begins with redis://".into();
                return Err(EngineError::Refused { key: "engines.redis.ca_file", reason });
            }
            (false, None) => Client::open(address).map_err(refused)?,
        };
        Ok(Self(Arc::new(Inner {
            client,
            limit: Duration::from_millis(settings.timeout_ms),
            prefix: settings.prefix.clone(),
            connection: Mutex::new(None),
            made: AtomicI64::new(0),
            rests_until: AtomicI64::new(0),
            clock: Clock::real(),
        })))
    }

    /// A key as Redis has it.
    pub(crate) fn key(&self, kind: &str, key: &str) -> String {
        format!("{}{kind}:{key}", self.0.prefix)
    }

    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Down> {
        self.ask(async |connection: &mut MultiplexedConnection| command.query_async(connection).await).await
    }

    /// Runs a script by its digest; a server that does not know it is given it.
    pub(crate) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Down> {
        self.ask(async |connection: &mut MultiplexedConnection| script.invoke_async(connection).await).await
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`Down`], with the reason.
    pub async fn ping(&self) -> Result<(), Down> {
        self.run::<String>(&::redis::cmd("PING")).await.map(drop)
    }

    async fn ask<T>(&self, work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>) -> Result<T, Down> {
        let inner = &*self.0;
        let mut used = None;
        let answer = inner
            .clock
            .timeout(inner.limit, async {
                let (number, mut connection) = inner.connection().await?;
                used = Some(number);
                work(&mut connection).await.map_err(|error| Down::Refused(Arc::new(error)))
            })
            .await
            .unwrap_or(Err(Down::Slow(inner.limit)));
        let lost = match &answer {
            Ok(_) | Err(Down::Resting) => false,
            Err(Down::Slow(_)) => true,
            // A refusal of one command (no memory left, a key of another type) leaves the connection as it is.
            Err(Down::Refused(error)) => used.is_none() || error.is_io_error() || error.is_unrecoverable_error(),
        };
        if lost {
            inner.rest(used).await;
        }
        answer
    }
}

impl Inner {
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Down> {
        // Held while it connects: the others wait for this try and make none of their own.
        let mut standing = self.connection.lock().await;
        if let Some(standing) = &*standing {
            return Ok(standing.clone());
        }
        let left = Timestamp::from_micros(self.rests_until.load(Ordering::SeqCst)).since(self.clock.now());
        // More than was ever asked for is left only when the machine's clock was set back.
        if !left.is_zero() && left <= self.limit {
            return Err(Down::Resting);
        }
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(self.limit)).set_response_timeout(None);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let connection = connected.map_err(|error| Down::Refused(Arc::new(error)))?;
        let number = self.made.fetch_add(1, Ordering::SeqCst).unsigned_abs();
        *standing = Some((number, connection.clone()));
        Ok((number, connection))
    }

    /// Gives a connection up, and lets nobody make one for a while.
    async fn rest(&self, used: Option<u64>) {
        let mut standing = self.connection.lock().await;
        if standing.as_ref().map(|(number, _)| *number) == used {
            *standing = None;
            self.rests_until.store(self.clock.now().plus(self.limit).micros(), Ordering::SeqCst);
        }
    }
}
