//! A running system: one process, one data folder, a port for the gateway, for each service and for the admin listener. Everything is
//! checked before a port is bound; Ctrl-C or SIGTERM lets every request finish and every store come to rest.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use platform::{
    Clock, Settings, Tasks,
    auth::Secret,
    engine::Engines,
    telemetry::traces::{Traces, TracesError},
    world::{
        World, admin,
        folder::{self, FolderError, Held},
        gateway,
    },
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::registry::{SERVICES, check_settings};

/// How long requests and tasks may take to finish once asked to stop.
const PATIENCE: Duration = Duration::from_secs(20);
pub const GATEWAY_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8099;
const FIRST_SERVICE_PORT: u16 = 8101;
/// The file in the data folder that says where a running system is.
pub const ADDRESS_FILE: &str = "running.json";

/// Where a system is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    pub gateway: String,
    pub admin: String,
    pub admin_token: String,
    pub services: BTreeMap<String, String>,
    pub data: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Settings(#[from] platform::settings::SettingsError),
    #[error(transparent)]
    Engine(#[from] platform::engine::EngineError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Start(#[from] platform::world::StartError),
    #[error("port {port} on {ip} cannot be used for the {what}: {source}; stop what uses it, or take free ports with --port 0")]
    Port { port: u16, ip: IpAddr, what: String, source: std::io::Error },
    #[error("traces cannot be exported: {0}")]
    Traces(#[from] TracesError),
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// A system that is up. Dropping it without [`Host::stop`] is a crash.
pub struct Host {
    pub world: World,
    pub addresses: Addresses,
    stop: CancellationToken,
    servers: Tasks,
    data: PathBuf,
    _held: Held,
}

impl Host {
    /// Starts every service over a data folder. With `port` 0 every port is a free one.
    pub async fn start(settings: Settings, data: &Path, port: u16) -> Result<Self, HostError> {
        // Whatever can be refused is refused before there is anything to clean up: the settings, the folder, the ports.
        check_settings(&settings)?;
        Engines::check(&settings)?;
        folder::look(data)?;
        let ports = Ports::bind(port).await?;
        let held = folder::hold(data)?;
        let clock = Clock::real();
        let servers = Tasks::new("host", clock);
        let traces = traces(&settings, &servers, clock)?;
        let world = World::real(settings, data, traces)?;
        for manifest in SERVICES {
            world.start(manifest, 0).await?;
        }
        let token = folder::secret(data, "admin.token", world.chance())?;
        let stop = CancellationToken::new();
        let Ports { gateway, admin, services: bound } = ports;
        let mut services = BTreeMap::new();
        let mut doors = vec![(gateway.0, gateway::router(&world)), (admin.0, admin::router(&world, token.clone()))];
        for (manifest, (listener, address)) in SERVICES.iter().zip(bound) {
            if let Some(router) = world.router(manifest.name) {
                doors.push((listener, router));
                services.insert(manifest.name.to_owned(), url(address));
            }
        }
        for (listener, router) in doors {
            serve(&servers, listener, router, stop.clone());
        }
        let addresses = Addresses {
            gateway: url(gateway.1),
            admin: url(admin.1),
            admin_token: token.expose().to_owned(),
            services,
            data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
        };
        write_addresses(data, &addresses)?;
        Ok(Self { world, addresses, stop, servers, data: data.to_owned(), _held: held })
    }

    /// Takes no new requests, lets those under way finish, brings every service to rest. Says whether all did in time.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        let served = self.servers.drain(PATIENCE).await;
        let rested = self.world.stop(PATIENCE).await;
        drop(std::fs::remove_file(self.data.join(ADDRESS_FILE)));
        served && rested
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceSettings {
    otlp_endpoint: String,
}

fn traces(settings: &Settings, tasks: &Tasks, clock: Clock) -> Result<Traces, HostError> {
    let section: TraceSettings = settings.section("traces").map_err(|error| {
        let source = platform::service::BuildError::Settings(error);
        HostError::Start(platform::world::StartError { service: "the platform", source })
    })?;
    if section.otlp_endpoint.is_empty() { Ok(Traces::off()) } else { Ok(Traces::start(&section.otlp_endpoint, tasks, clock)?) }
}

type Door = (TcpListener, SocketAddr);

/// Every port of the system, bound.
struct Ports {
    gateway: Door,
    admin: Door,
    /// In the order of the services.
    services: Vec<Door>,
}

impl Ports {
    async fn bind(port: u16) -> Result<Self, HostError> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let pick = |fixed: u16| if port == 0 { 0 } else { fixed };
        let gateway = bind(ip, port, "gateway").await?;
        let admin = bind(ip, pick(ADMIN_PORT), "admin listener").await?;
        let mut services = Vec::new();
        for (number, manifest) in (0_u16..).zip(SERVICES) {
            services.push(bind(ip, pick(FIRST_SERVICE_PORT + number), manifest.name).await?);
        }
        Ok(Self { gateway, admin, services })
    }
}

async fn bind(ip: IpAddr, port: u16, what: &str) -> Result<Door, HostError> {
    let told = |source| HostError::Port { port, ip, what: what.to_owned(), source };
    let listener = TcpListener::bind((ip, port)).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    Ok((listener, address))
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn serve(tasks: &Tasks, listener: TcpListener, router: Router, stop: CancellationToken) {
    // An answer is one small write: it is not to wait for more.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tasks.spawn("server", async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "a listener ended");
        }
    });
}

fn write_addresses(data: &Path, addresses: &Addresses) -> Result<(), HostError> {
    let path = data.join(ADDRESS_FILE);
    let json = serde_json::to_vec_pretty(addresses).unwrap_or_default();
    let told = |source| HostError::Write { path: path.clone(), source };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(told)?;
    std::io::Write::write_all(&mut file, &json).map_err(told)
}

/// The admin token of a running system, as a secret.
pub fn admin_secret(addresses: &Addresses) -> Option<Secret> {
    Secret::new(&addresses.admin_token).ok()
}
