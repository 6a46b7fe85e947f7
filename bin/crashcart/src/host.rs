//! A running system, or a part of one: one process, one data folder, a port for the gateway, for each service and for the admin listener.
//! Everything is checked before a port is bound; Ctrl-C or SIGTERM lets every request finish and every store come to rest.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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
        AuthMode, PlatformSettings, World, admin,
        folder::{self, FolderError, Held},
        gateway,
    },
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    parts::{Parts, PartsError},
    registry::{SERVICES, check_settings},
};

/// How long requests and tasks may take to finish once asked to stop.
const PATIENCE: Duration = Duration::from_secs(20);
pub const GATEWAY_PORT: u16 = 8080;
pub const ADMIN_PORT: u16 = 8099;
const FIRST_SERVICE_PORT: u16 = 8101;
/// The file in the data folder that says where a running system is.
pub const ADDRESS_FILE: &str = "running.json";

/// Where a system is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// None in a process that does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
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
    Parts(#[from] PartsError),
    #[error("`platform.auth` is \"off\", which is for loopback only: set it to \"jwt\" before anybody else can reach {0}")]
    Open(IpAddr),
    #[error(transparent)]
    Start(#[from] platform::world::StartError),
    #[error("port {port} on {ip} cannot be used for the {what}: {source}; stop what uses it, or take free ports with --port 0")]
    Port { port: u16, ip: IpAddr, what: String, source: std::io::Error },
    #[error("traces cannot be exported: {0}")]
    Traces(#[from] TracesError),
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// What a process is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    pub parts: Parts,
    /// Where it listens.
    pub ip: IpAddr,
    /// The port of the first of its doors: the gateway, or else its first service. None is the usual one, 0 a free one for every door.
    pub port: Option<u16>,
    /// None is the usual one.
    pub admin_port: Option<u16>,
}

impl Plan {
    /// The whole system on loopback.
    #[must_use]
    pub fn whole(port: u16) -> Self {
        Self { parts: Parts::all(), ip: Ipv4Addr::LOCALHOST.into(), port: Some(port), admin_port: None }
    }
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
    /// Starts the parts of a plan over a data folder.
    pub async fn start(settings: Settings, data: &Path, plan: Plan) -> Result<Self, HostError> {
        // Whatever can be refused is refused before there is anything to clean up: the settings, the folder, the ports.
        check_settings(&settings)?;
        if !plan.ip.is_loopback() && settings.checked::<PlatformSettings>("platform")?.auth == AuthMode::Off {
            return Err(HostError::Open(plan.ip));
        }
        Engines::check(&settings)?;
        folder::look(data)?;
        let Ports { gateway, admin, services: bound } = Ports::bind(&plan).await?;
        let held = folder::hold(data)?;
        let clock = Clock::real();
        let servers = Tasks::new("host", clock);
        let traces = traces(&settings, &servers, clock)?;
        let world = World::real(settings, data, traces)?;
        plan.parts.elsewhere.iter().for_each(|service| world.add_elsewhere(service.clone()));
        let token = if plan.parts.are_all() {
            folder::secret(data, "admin.token", world.chance())?
        } else {
            // One admin listener asks the others, so they all take the same.
            world.secret_for("admin")?
        };
        admin::join(&world, &token).await;
        for manifest in &plan.parts.services {
            world.start(manifest, 0).await?;
        }
        let stop = CancellationToken::new();
        let mut addresses = Addresses {
            gateway: gateway.as_ref().map(|(_, address)| url(*address)),
            admin: url(admin.1),
            admin_token: token.expose().to_owned(),
            services: BTreeMap::new(),
            data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
        };
        let mut doors = vec![(admin.0, admin::router(&world, token))];
        doors.extend(gateway.map(|(listener, _)| (listener, gateway::router(&world))));
        for (manifest, (listener, address)) in plan.parts.services.iter().zip(bound) {
            if let Some(router) = world.router(manifest.name) {
                doors.push((listener, router));
                addresses.services.insert(manifest.name.to_owned(), url(address));
            }
        }
        for (listener, router) in doors {
            serve(&servers, listener, router, stop.clone());
        }
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

/// Every port of the process, bound.
struct Ports {
    gateway: Option<Door>,
    admin: Door,
    /// In the order of the services.
    services: Vec<Door>,
}

impl Ports {
    async fn bind(plan: &Plan) -> Result<Self, HostError> {
        let usual = |fixed: u16| if plan.port == Some(0) { 0 } else { fixed };
        let mut first = plan.port;
        let gateway =
            if plan.parts.has_gateway { Some(bind(plan.ip, first.take().unwrap_or(GATEWAY_PORT), "gateway").await?) } else { None };
        let admin = bind(plan.ip, plan.admin_port.unwrap_or_else(|| usual(ADMIN_PORT)), "admin listener").await?;
        let mut services = Vec::new();
        for manifest in &plan.parts.services {
            let port = first.take().unwrap_or_else(|| usual(port_of(manifest.name)));
            services.push(bind(plan.ip, port, manifest.name).await?);
        }
        Ok(Self { gateway, admin, services })
    }
}

/// Where a service listens when nothing else is said.
fn port_of(service: &str) -> u16 {
    let ports = (FIRST_SERVICE_PORT..).zip(SERVICES);
    ports.into_iter().find(|(_, manifest)| manifest.name == service).map_or(0, |(port, _)| port)
}

async fn bind(ip: IpAddr, port: u16, what: &str) -> Result<Door, HostError> {
    let told = |source| HostError::Port { port, ip, what: what.to_owned(), source };
    let listener = TcpListener::bind((ip, port)).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    Ok((listener, address))
}

/// An address as this machine reaches it.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
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
