//! The release program as a user runs it: a process of its own over a data folder, commands against it, and what the operating system and
//! its own metrics say that it spends. Everything here stands outside of the system and goes by the machine's clock.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value as Json;

/// A running system.
pub struct System {
    process: Child,
    data: PathBuf,
    /// Host and port of the gateway.
    pub gateway: String,
    /// When its process was started ([`now`]).
    pub began: f64,
    /// How many seconds later it was ready.
    pub ready: f64,
}

impl System {
    pub fn start(data: &Path) -> Result<Self, String> {
        Self::start_with(data, None)
    }

    /// With a settings file.
    pub fn start_with(data: &Path, config: Option<&Path>) -> Result<Self, String> {
        let began = now();
        let mut process = Command::new(binary())
            .args(["up", "--port", "0", "--json", "--data"])
            .arg(data)
            .args(config.into_iter().flat_map(|file| [std::ffi::OsStr::new("--config"), file.as_os_str()]))
            .env("CRASHCART_LOGS__LEVEL", "error")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; build it first (`cargo build --release`)", binary().display()))?;
        let mut line = String::new();
        if let Some(out) = process.stdout.as_mut() {
            BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let addresses: Json = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        let gateway = addresses["gateway"].as_str().unwrap_or_default().trim_start_matches("http://").to_owned();
        Ok(Self { process, data: data.to_owned(), gateway, began, ready: now() - began })
    }

    /// One command against it: what it reports as JSON.
    pub fn report(&self, args: &[&str]) -> Result<Json, String> {
        let output = self.command(args).output().map_err(|error| format!("{}: {error}", binary().display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("{args:?}: {}{text}", String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_str(&text).map_err(|error| format!("{args:?}: {error}: {text}"))
    }

    /// The same, as a process that goes on beside the caller.
    pub fn begin(&self, args: &[&str]) -> Result<Child, String> {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).arg("--json").arg("--data").arg(&self.data);
        command
    }

    pub fn verify(&self) -> Result<(), String> {
        self.report(&["verify"]).map(drop).map_err(|error| format!("an invariant is broken, so there is no result: {error}"))
    }

    /// A load's report, and what the system spent meanwhile. A load finds its people first and reads the books afterwards; what that costs is seen
    /// by `nothing`, the same load with nothing in it, and taken off.
    pub fn cost(&self, load: &[&str], nothing: &[&str]) -> Result<(Json, Cost), String> {
        let (_, idle) = self.spend(nothing)?;
        let (told, all) = self.spend(load)?;
        Ok((told, all.less(&idle)))
    }

    /// A command's report, and what the system spent until it came.
    pub fn spend(&self, load: &[&str]) -> Result<(Json, Cost), String> {
        let before = self.spent()?;
        let told = self.report(load)?;
        Ok((told, self.spent()?.less(&before)))
    }

    /// Since it was started.
    fn spent(&self) -> Result<Cost, String> {
        let counters = self.counters()?;
        let of = |name: &str| counters.get(name).copied().unwrap_or(0.0);
        Ok(Cost { cpu_seconds: self.cpu_seconds(), statements: of("store_statements"), fsyncs: of("store_commits") })
    }

    /// Sums over all services of the metrics that tell what the stores did.
    fn counters(&self) -> Result<BTreeMap<String, f64>, String> {
        let mut stream = TcpStream::connect(&self.gateway).map_err(|error| error.to_string())?;
        stream
            .write_all(format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.gateway).as_bytes())
            .map_err(|error| error.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("store_")) {
            if let (Some(name), Some(value)) = (line.split('{').next(), line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()))
            {
                *sums.entry(name.to_owned()).or_insert(0.0) += value;
            }
        }
        Ok(sums)
    }

    /// Seconds of both kinds of CPU time, by the operating system's accounting.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
    }

    pub fn resident_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
    }

    /// Ctrl-C, as a user would; then until it has come to rest.
    pub fn stop(mut self) {
        drop(Command::new("kill").args(["-INT", &self.process.id().to_string()]).status());
        drop(self.process.wait());
    }

    /// SIGKILL, in whatever it is doing.
    pub fn kill(mut self) {
        drop((self.process.kill(), self.process.wait()));
    }
}

/// What a system spent.
#[derive(Clone, Copy)]
pub struct Cost {
    pub cpu_seconds: f64,
    pub statements: f64,
    pub fsyncs: f64,
}

impl Cost {
    fn less(self, other: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - other.cpu_seconds,
            statements: self.statements - other.statements,
            fsyncs: self.fsyncs - other.fsyncs,
        }
    }

    /// In words, for each of so many.
    pub fn each(&self, count: &Json) -> String {
        let count = count.as_f64().unwrap_or(0.0).max(1.0);
        format!(
            "{:.2} CPU ms, {:.0} SQL statements, {:.1} fsyncs of the stores",
            self.cpu_seconds * 1_000.0 / count,
            self.statements / count,
            self.fsyncs / count
        )
    }
}

/// The release build, wherever that is put.
#[expect(clippy::disallowed_methods, reason = "a tool may ask where the build is")]
fn binary() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into())).join("release/crashcart")
}

/// Seconds, by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
pub fn pause(seconds: u64) {
    std::thread::sleep(std::time::Duration::from_secs(seconds));
}
