//! A system whose every service has a process of its own, as whoever runs it starts them: the program, ports, folders, settings in the
//! environment. Each system has names of its own on the engines, so that several run side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crashcart::{
    parts::{self, GATEWAY},
    registry::SERVICES,
};
use lab::target::Remote;
use platform::{
    Clock,
    auth::{Keys, Role, Secret},
    settings::environment,
};
use serde_json::Value as Json;
use tokio::sync::{Mutex, MutexGuard};

/// A start that takes longer has failed, on a machine that is busy.
const START_PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);
const SECRET: &str = "the processes of this system share this secret";

/// A machine that runs the tests has no room for several systems of nine processes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Where a process listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    own: u16,
    admin: u16,
}

/// A running system; its processes are killed with it.
pub struct Fleet {
    folder: tempfile::TempDir,
    engines: PathBuf,
    variables: Vec<(String, String)>,
    ports: BTreeMap<String, Ports>,
    running: BTreeMap<String, Child>,
    pub clock: Clock,
    _alone: MutexGuard<'static, ()>,
}

/// The processes of a part: `payment`, and, where there are two, `payment-2`.
fn part_of(process: &str) -> &str {
    process.strip_suffix("-2").unwrap_or(process)
}

impl Fleet {
    /// A process for every part, and for each of `doubled` a second one. Waits until all are ready.
    pub async fn start(doubled: &[&str]) -> Self {
        Self::with(doubled, &[]).await
    }

    /// The same with other settings, each as the variable is called behind `CRASHCART_`.
    pub async fn with(doubled: &[&str], changes: &[(&str, &str)]) -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let engines = environment().find(|(name, _)| name == "CRASHCART_ENGINES").map(|(_, path)| PathBuf::from(path));
        let engines = engines.expect("CRASHCART_ENGINES names the file of the engines: `make test-engines` starts them and sets it");
        let processes: Vec<String> =
            parts::names().map(str::to_owned).chain(doubled.iter().map(|service| format!("{service}-2"))).collect();
        // All are taken before one is let go, so that none is given twice.
        let taken: Vec<TcpListener> = (0..processes.len() * 2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let numbers: Vec<u16> = taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(taken);
        let pairs = numbers.chunks_exact(2).map(|pair| Ports { own: pair[0], admin: pair[1] });
        let ports: BTreeMap<String, Ports> = processes.iter().cloned().zip(pairs).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut variables = variables(&ports);
        // The later of two settings holds.
        variables.extend(changes.iter().map(|(name, value)| (format!("CRASHCART_{name}"), (*value).to_owned())));
        let mut fleet = Self { folder, engines, variables, ports, running: BTreeMap::new(), clock: Clock::real(), _alone: alone };
        for process in &processes {
            fleet.spawn(process);
        }
        for process in &processes {
            fleet.until_up(process).await;
        }
        fleet
    }

    /// Starts a process again that was killed, and waits until it is up.
    pub async fn restart(&mut self, process: &str) {
        self.spawn(process);
        self.until_up(process).await;
    }

    /// `SIGKILL`.
    pub fn kill(&mut self, process: &str) {
        let mut child = self.running.remove(process).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills an engine and starts it again over its data; waits until it answers.
    pub async fn crash_engine(&self, engine: &str) {
        let mut command = Command::new("cargo");
        command.args(["xtask", "engines", "crash", "--only", engine, "--data"]).arg(self.engines.parent().unwrap());
        let log = self.file(engine, "log");
        let mut child = command.stdin(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let until = self.clock.now().plus(START_PATIENCE);
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            assert!(self.clock.now() < until, "{engine} does not come back within {START_PATIENCE:?}");
            self.clock.sleep(LOOK).await;
        };
        assert!(ended.success(), "{}", std::fs::read_to_string(&log).unwrap());
    }

    fn spawn(&mut self, process: &str) {
        let Ports { own, admin } = self.ports[process];
        let (told, log) = (self.file(process, "json"), self.file(process, "log"));
        let mut command = self.command(&["up", "--service", part_of(process), "--json"]);
        command.args(["--port", &own.to_string(), "--admin-port", &admin.to_string()]).arg("--data").arg(self.data(process));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdout(File::create(told).unwrap()).stderr(log).spawn().unwrap();
        self.running.insert(process.to_owned(), child);
    }

    /// It tells where it is once it serves.
    async fn until_up(&mut self, process: &str) {
        let until = self.clock.now().plus(START_PATIENCE);
        while !std::fs::read_to_string(self.file(process, "json")).unwrap().ends_with('\n') {
            let ended = self.running.get_mut(process).unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(self.file(process, "log")).unwrap_or_default();
            assert!(ended.is_none(), "{process} ended by itself ({ended:?}): {}", log());
            assert!(self.clock.now() < until, "{process} did not start within {START_PATIENCE:?}: {}", log());
            self.clock.sleep(LOOK).await;
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crashcart"));
        command.arg("--config").arg(&self.engines).args(args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        // What is said to the tests is no setting.
        for name in ["ENGINES", "TEST_SQL", "TEST_DOCUMENTS", "TEST_STOCK", "TEST_RUNGS"] {
            command.env_remove(format!("CRASHCART_{name}"));
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of the program; exit code, what it told, what it complained about.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub fn data(&self, process: &str) -> PathBuf {
        self.folder.path().join(process)
    }

    fn file(&self, process: &str, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{process}.{kind}"))
    }

    /// The folder for what a test keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn told(&self, process: &str) -> Json {
        serde_json::from_str(&std::fs::read_to_string(self.file(process, "json")).unwrap()).unwrap()
    }

    pub fn gateway(&self) -> String {
        self.told(GATEWAY)["gateway"].as_str().unwrap().to_owned()
    }

    /// The whole system through its gateway, as its operator.
    pub fn remote(&self) -> Remote {
        let told = self.told(GATEWAY);
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        let remote = Remote::new(&text("gateway"), Some((&text("admin"), &text("adminToken")))).unwrap();
        remote.with_token(Some(self.token("operator", Role::Operator)))
    }

    /// The same system, through the admin listener of another of its processes.
    pub fn admin(&self, process: &str) -> Remote {
        let (gateway, told) = (self.told(GATEWAY), self.told(process));
        let admin = (told["admin"].as_str().unwrap(), told["adminToken"].as_str().unwrap());
        Remote::new(gateway["gateway"].as_str().unwrap(), Some(admin)).unwrap()
    }

    pub fn token(&self, subject: &str, role: Role) -> String {
        let keys = Keys::new(&Secret::new(SECRET).unwrap(), self.clock).unwrap();
        keys.issue(subject, BTreeSet::from([role]), Duration::from_secs(3_600)).unwrap()
    }

    /// What a process counts of itself, over all labels.
    pub async fn count(&self, process: &str, metric: &str) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports[process].own);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Every invariant over the whole system, as `crashcart verify` finds it.
    pub fn verify(&self) -> Json {
        let data = self.data(GATEWAY).display().to_string();
        let (code, told, error) = self.run(&["verify", "--json", "--data", &data]);
        assert_eq!(code, 0, "{error}\n{told}");
        serde_json::from_str(&told).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What all processes are told: the same for each, so they differ in `--service` and their ports only.
fn variables(ports: &BTreeMap<String, Ports>) -> Vec<(String, String)> {
    let name = format!("p{}x{}", std::process::id(), Clock::real().now().micros());
    let mut variables: Vec<(String, String)> = [
        ("STORES__CACHE", "redis"),
        ("STORES__LIMITER", "redis"),
        ("STORES__BLOBS", "s3"),
        ("STORES__SQL__CUSTOMER", "postgresql"),
        ("STORES__SQL__CATALOG", "postgresql"),
        ("STORES__SQL__PRICING", "postgresql"),
        ("STORES__SQL__PAYMENT", "postgresql"),
        ("STORES__SQL__CART", "mariadb"),
        ("STORES__SQL__ORDER", "mariadb"),
        ("STORES__READS", "replica"),
        ("STORES__DOCUMENTS", "couchdb"),
        ("STORES__STOCK", "cassandra"),
        ("STORES__SCHEMAS", "registry"),
        ("STORES__BUS", "kafka"),
        ("ENGINES__REDIS__PREFIX", &format!("{name}:")),
        ("ENGINES__S3__BUCKET", &name),
        ("ENGINES__POSTGRESQL__SCHEMA_PREFIX", &format!("{name}_")),
        ("ENGINES__MARIADB__SCHEMA_PREFIX", &format!("{name}_")),
        ("ENGINES__COUCHDB__PREFIX", &format!("{name}_")),
        ("ENGINES__CASSANDRA__PREFIX", &format!("{name}_")),
        ("ENGINES__KAFKA__PREFIX", &format!("{name}.")),
        ("PLATFORM__SIGNING_SECRET", SECRET),
        ("PLATFORM__AUTH", "jwt"),
        ("LOGS__LEVEL", "warn"),
        // It is asked for what was not answered when somebody died: not to be waited for half a minute each time.
        ("PAYMENT__FIRST_INQUIRY_SECONDS", "5"),
        // An order whose confirmation has no answer waits for news of its payment until this: sooner than a check of a crash wants rest.
        ("ORDER__PAYMENT_DEADLINE_SECONDS", "90"),
    ]
    .into_iter()
    .map(|(name, value)| (format!("CRASHCART_{name}"), value.to_owned()))
    .collect();
    for service in SERVICES.iter().map(|manifest| manifest.name) {
        let of_it = || ports.iter().filter(|(process, _)| part_of(process) == service).map(|(_, ports)| ports);
        let urls = |port: fn(&Ports) -> u16| of_it().map(|ports| format!("http://127.0.0.1:{}", port(ports))).collect::<Vec<_>>().join(",");
        variables.push((format!("CRASHCART_CALLS__{}", service.to_uppercase()), urls(|ports| ports.own)));
        variables.push((format!("CRASHCART_ADMINS__{}", service.to_uppercase()), urls(|ports| ports.admin)));
    }
    variables
}
