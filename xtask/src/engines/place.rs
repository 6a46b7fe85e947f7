//! Where one engine runs: a folder of its own, ports that were free, and a record of the process that was started in it. The record holds the
//! moment at which the system says that the process began: a number alone is given to somebody else once its process has ended, and then
//! `down` would stop a stranger.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value as Json, json};

/// The folder of all engines: one for each user of the machine, unless another is named.
pub struct Ground {
    pub folder: PathBuf,
    /// For every engine that knows passwords: whoever may run a program on this machine reaches its loopback too.
    pub password: String,
}

/// One engine's part of it.
pub struct Place {
    pub folder: PathBuf,
    pub ports: Vec<u16>,
    pub password: String,
    /// What the source gave: a program, or a folder that holds one.
    pub program: PathBuf,
}

/// What is remembered of a process that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub process: u32,
    /// Clock ticks after the start of the machine.
    pub began: u64,
    pub ports: Vec<u16>,
    pub program: PathBuf,
    /// None: it has not answered yet.
    pub ready_millis: Option<u64>,
}

const MARK: &str = ".crashcart-engines";

impl Ground {
    /// Opens the folder or makes it. One that is not ours is not touched.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let shown = folder.display();
        if folder.exists() {
            if !folder.join(MARK).exists() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(format!("{shown} holds something else; name another folder with --data"));
            }
            let owner = fs::metadata(folder).map_err(|error| format!("{shown}: {error}"))?.uid();
            if owner != own_id() {
                return Err(format!("{shown} belongs to somebody else; name another folder with --data"));
            }
        } else {
            // Others may pass through: PostgreSQL and MariaDB run as users of their own when we are root.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(|error| format!("{shown}: {error}"))?;
        }
        write(&folder.join(MARK), "made by `cargo xtask engines up`, taken away by `cargo xtask engines down`\n")?;
        let file = folder.join("password");
        if !file.exists() {
            write(&file, &random()?)?;
        }
        let password = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self { folder: folder.canonicalize().map_err(|error| format!("{shown}: {error}"))?, password })
    }

    /// A fresh place: what a former process of this engine left is taken away.
    pub fn place(&self, name: &str, ports: usize, program: PathBuf) -> Result<Place, String> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        fs::DirBuilder::new().mode(0o711).create(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Place { folder, ports: free_ports(ports)?, password: self.password.clone(), program })
    }

    /// The place of a process that was started before.
    pub fn place_of(&self, name: &str, record: &Record) -> Place {
        Place {
            folder: self.folder.join(name),
            ports: record.ports.clone(),
            password: self.password.clone(),
            program: record.program.clone(),
        }
    }

    pub fn record(&self, name: &str) -> Option<Record> {
        Record::read(&self.folder.join(name))
    }

    /// Takes an engine's folder away, and with the last one all that is ours; never what somebody else put there.
    pub fn clear(&self, name: &str) -> Result<(), String> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let left = fs::read_dir(&self.folder).into_iter().flatten().flatten().any(|entry| entry.path().is_dir());
        if !left {
            for file in ["password", super::SETTINGS, MARK].into_iter().chain(super::tls::FILES) {
                drop(fs::remove_file(self.folder.join(file)));
            }
            drop(fs::remove_dir(&self.folder));
        }
        Ok(())
    }
}

impl Place {
    pub fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or_default()
    }

    /// For the engine that is asked next to the one it stands in.
    pub fn port_of(&self, neighbour: &str) -> Result<u16, String> {
        let folder = self.folder.parent().unwrap_or(Path::new("/")).join(neighbour);
        let record = Record::read(&folder).filter(Record::alive).ok_or_else(|| format!("{neighbour} does not run"))?;
        record.ports.first().copied().ok_or_else(|| format!("{neighbour} has no port"))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.file(name);
        write(&path, text)?;
        Ok(path)
    }

    /// A folder in the place, and for root in the hands of the user that the package made for its server.
    pub fn folder_for(&self, name: &str, user: &str) -> Result<PathBuf, String> {
        let path = self.file(name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        self.give(&path, user)?;
        Ok(path)
    }

    pub fn give(&self, path: &Path, user: &str) -> Result<(), String> {
        match other_user(user)? {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(|error| format!("{}: {error}", path.display())),
            None => Ok(()),
        }
    }

    /// Starts the server, in a process group of its own so that Ctrl-C does not reach it.
    pub fn spawn(&self, mut command: Command) -> Result<(Child, Record), String> {
        let log = self.file("log");
        let out = fs::File::options().create(true).append(true).open(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let twin = out.try_clone().map_err(|error| error.to_string())?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(twin)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let record = Record::of(child.id(), self).ok_or_else(|| format!("{program} ended at once; see {}", log.display()))?;
        record.write(&self.folder)?;
        Ok((child, record))
    }

    /// The end of its log, for whoever must find out why it ended.
    pub fn last_words(&self) -> String {
        let text = fs::read(self.file("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(6)..].join("\n    ")
    }
}

impl Record {
    pub fn of(process: u32, place: &Place) -> Option<Self> {
        Some(Self { process, began: began(process)?, ports: place.ports.clone(), program: place.program.clone(), ready_millis: None })
    }

    fn read(folder: &Path) -> Option<Self> {
        let value: Json = serde_json::from_str(&fs::read_to_string(folder.join("process.json")).ok()?).ok()?;
        Some(Self {
            process: u32::try_from(value["process"].as_u64()?).ok()?,
            began: value["began"].as_u64()?,
            ports: value["ports"].as_array()?.iter().filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect(),
            program: PathBuf::from(value["program"].as_str()?),
            ready_millis: value["readyMillis"].as_u64(),
        })
    }

    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let value = json!({
            "process": self.process,
            "began": self.began,
            "ports": self.ports,
            "program": self.program,
            "readyMillis": self.ready_millis,
        });
        write(&folder.join("process.json"), &value.to_string())
    }

    /// Whether the very process that was started still runs.
    pub fn alive(&self) -> bool {
        began(self.process) == Some(self.began)
    }

    /// What it and its children hold, memory that they share counted once: PostgreSQL is many processes over one cache.
    pub fn memory_mb(&self) -> u64 {
        self.processes().map(shared_out_kilobytes).sum::<u64>() / 1024
    }

    /// What it and its children have spent of a core, those that have ended too.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks = |process| -> u64 {
            let fields = stat(process).unwrap_or_default();
            fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
        };
        self.processes().map(ticks).sum::<u64>() as f64 / 100.0
    }

    /// It and its children.
    fn processes(&self) -> impl Iterator<Item = u32> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.filter(|process| *process == self.process || parent(*process) == Some(self.process))
    }

    /// Asks it to end, and ends it if it does not. True if there was something to stop.
    pub fn stop(&self, signal: &str) -> bool {
        if !self.alive() {
            return false;
        }
        self.signal(signal);
        for _ in 0..300 {
            if !self.alive() {
                return true;
            }
            pause(Duration::from_millis(100));
        }
        self.kill();
        true
    }

    /// Ends it as a crash does. False if it goes on.
    pub fn kill(&self) -> bool {
        self.signal("KILL");
        for _ in 0..500 {
            // Until its number is gone too: a server that comes after it may look for its predecessor by that.
            if stat(self.process).is_none() {
                break;
            }
            pause(Duration::from_millis(10));
        }
        !self.alive()
    }

    /// How long it took to answer, in words.
    pub fn took(&self) -> String {
        format!("{:.1} s", self.ready_millis.unwrap_or_default() as f64 / 1_000.0)
    }

    fn signal(&self, name: &str) {
        // Asked again at the last moment, for the sake of strangers.
        if self.alive() {
            drop(Command::new("kill").args([&format!("-{name}"), &self.process.to_string()]).status());
        }
    }
}

/// When a process began; none if there is none, or if it has ended and only its number is left.
fn began(process: u32) -> Option<u64> {
    let fields = stat(process)?;
    if matches!(fields.first()?.as_str(), "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

fn parent(process: u32) -> Option<u32> {
    stat(process)?.get(1)?.parse().ok()
}

/// What the system says of a process, from its state on: its name may hold anything.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit(") ").next()?.split(' ').map(str::to_owned).collect())
}

fn shared_out_kilobytes(process: u32) -> u64 {
    let sums = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = sums.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or(0)
}

/// A command that runs as the package's user when we are root; PostgreSQL and MariaDB refuse to run as root.
pub fn command_as(program: impl AsRef<std::ffi::OsStr>, user: &str) -> Result<Command, String> {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = other_user(user)? {
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

fn other_user(name: &str) -> Result<Option<(u32, u32)>, String> {
    if own_id() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name));
    let id = |index: usize| found.as_ref().and_then(|fields| fields.get(index)).and_then(|field| field.parse::<u32>().ok());
    match (id(2), id(3)) {
        (Some(uid), Some(gid)) => Ok(Some((uid, gid))),
        _ => Err(format!("there is no user {name}, which the package makes")),
    }
}

pub fn own_id() -> u32 {
    fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}

/// Ports of the loopback that nobody holds; all are held until the last is found, so none is given twice.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    held.iter().map(|listener| listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())).collect()
}

fn random() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Readable for us alone: most of these files hold the password.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("crashcart-xtask-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        folder
    }

    #[test]
    fn a_process_that_began_at_another_time_is_not_stopped() {
        let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
        let process = stranger.id();
        let record = Record { process, began: began(process).unwrap(), ports: vec![1], program: PathBuf::new(), ready_millis: None };
        let other = Record { began: record.began + 1, ..record.clone() };
        assert!(!other.stop("TERM"), "the number is the same, the process is not");
        assert!(stranger.try_wait().unwrap().is_none(), "it goes on");
        assert!(record.stop("TERM"), "the one that was started is stopped");
        assert!(!record.alive(), "what only waits to be asked for its end does not run");
        stranger.wait().unwrap();
    }

    #[test]
    fn what_was_started_is_remembered() {
        let ground = Ground::open(&folder("remembered")).unwrap();
        let place = ground.place("sleeper", 2, PathBuf::from("/bin/sleep")).unwrap();
        assert_ne!(place.ports[0], place.ports[1]);
        let mut command = Command::new("sleep");
        command.arg("60");
        let (mut child, record) = place.spawn(command).unwrap();
        assert_eq!(ground.record("sleeper"), Some(record.clone()));
        assert_eq!(ground.place("neighbour", 1, PathBuf::new()).unwrap().port_of("sleeper"), Ok(place.port()));
        assert!(record.alive());
        record.stop("TERM");
        child.wait().unwrap();
        ground.clear("sleeper").unwrap();
        assert!(ground.folder.exists(), "a neighbour is left");
        ground.clear("neighbour").unwrap();
        assert!(!ground.folder.exists());
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let folder = folder("full");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("thesis.txt"), "three years").unwrap();
        assert!(Ground::open(&folder).is_err());
        assert!(!folder.join(MARK).exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
