//! `cargo xtask engines up|down|status|crash`: the real engines for development and for the pipeline, where there is no Docker: from packages, on free ports
//! of the loopback, over data that is thrown away. One table says which there are; for each, a file says where it comes from, how it is
//! configured and started, how it is asked whether it is ready, and what settings it adds. Nothing here knows what the services do with them.
//! Images for users are another matter: what is started here listens to this machine alone and forgets everything.

mod ask;
mod cassandra;
mod couchdb;
mod kafka;
mod mariadb;
mod minio;
mod place;
mod postgresql;
mod redis;
mod schema_registry;
mod source;
mod tls;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
    time::Duration,
};

pub use self::place::write;
use self::{
    place::{Ground, Place, Record},
    source::Source,
};
use crate::report;

/// One engine. Adding one is a file with such a value and a line in [`ENGINES`].
pub struct Engine {
    /// As `--only`, its folder and the guide have it.
    pub name: &'static str,
    pub source: Source,
    /// How many ports it needs; the first is the one that clients use.
    pub ports: usize,
    /// The engine that must run before.
    pub after: Option<&'static str>,
    /// Writes what it reads when it starts.
    pub configure: fn(&Place) -> Result<(), String>,
    pub command: fn(&Place) -> Result<Command, String>,
    /// Asks it something that it answers only when it is ready.
    pub answers: fn(&Place) -> Result<(), String>,
    /// What can be done only once it answers: users, databases.
    pub settle: fn(&Place) -> Result<(), String>,
    /// Keys below `[engines]`, with their values.
    pub settings: fn(&Place) -> Vec<(&'static str, String)>,
    /// The signal after which it ends in order and soon.
    pub stop: &'static str,
}

/// In the order in which they are started.
pub static ENGINES: &[&Engine] = &[
    &redis::ENGINE,
    &postgresql::ENGINE,
    &mariadb::PRIMARY,
    &mariadb::REPLICA,
    &kafka::ENGINE,
    &schema_registry::ENGINE,
    &cassandra::ENGINE,
    &couchdb::ENGINE,
    &minio::ENGINE,
];

/// The settings file, in the folder of the engines.
pub const SETTINGS: &str = "engines.toml";

/// How long an engine may take until it answers, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(180);

const USAGE: &str = "usage: cargo xtask engines up|down|status|crash [--only redis,postgresql] [--data FOLDER]";

pub fn run(args: &[String]) -> ExitCode {
    let (verb, folder, wanted) = match parse(args) {
        Ok(parsed) => parsed,
        Err(sentence) => {
            report(&sentence);
            return ExitCode::from(2);
        }
    };
    let done = match verb {
        Verb::Up => up(&folder, &wanted),
        Verb::Down => down(&folder, &wanted),
        Verb::Status => status(&folder, &wanted),
        Verb::Crash => crash(&folder, &wanted),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            report(&sentence);
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Up,
    Down,
    Status,
    Crash,
}

fn parse(args: &[String]) -> Result<(Verb, PathBuf, Vec<&'static Engine>), String> {
    let verb = match args.first().map(String::as_str) {
        Some("up") => Verb::Up,
        Some("down") => Verb::Down,
        Some("status") => Verb::Status,
        Some("crash") => Verb::Crash,
        _ => return Err(USAGE.to_owned()),
    };
    let mut folder = std::env::temp_dir().join(format!("crashcart-engines-{}", place::own_id()));
    let mut wanted: Vec<&'static Engine> = ENGINES.to_vec();
    let mut rest = args.iter().skip(1);
    while let Some(option) = rest.next() {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value),
            None => (option.as_str(), rest.next().map(String::as_str).ok_or(USAGE)?),
        };
        match name {
            "--data" => folder = std::path::absolute(value).map_err(|error| format!("{value}: {error}"))?,
            "--only" => wanted = chosen(value, verb)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok((verb, folder, wanted))
}

/// The engines of a list, in the table's order; to start one, also what it stands on.
fn chosen(list: &str, verb: Verb) -> Result<Vec<&'static Engine>, String> {
    let mut names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(wrong) = names.iter().find(|name| ENGINES.iter().all(|engine| engine.name != **name)) {
        let known: Vec<&str> = ENGINES.iter().map(|engine| engine.name).collect();
        return Err(format!("there is no engine {wrong}; there are {}", known.join(", ")));
    }
    if verb == Verb::Up {
        for engine in ENGINES.iter().rev().filter(|engine| names.contains(&engine.name)).collect::<Vec<_>>() {
            names.extend(engine.after);
        }
    }
    Ok(ENGINES.iter().copied().filter(|engine| names.contains(&engine.name)).collect())
}

/// Starts each in turn: two cores give nothing to two that start at once, and each time is its own. True if all that were wanted answer.
fn up(folder: &Path, wanted: &[&'static Engine]) -> Result<bool, String> {
    let ground = Ground::open(folder)?;
    let mut failed = Vec::new();
    for engine in wanted {
        match start(&ground, engine) {
            Ok(line) => report(&format!("{:<16} {line}", engine.name)),
            Err(sentence) => {
                report(&format!("{:<16} is not up: {sentence}", engine.name));
                failed.push(engine.name);
            }
        }
    }
    let text = settings(&ground);
    let file = ground.folder.join(SETTINGS);
    write(&file, &text)?;
    say(&text);
    report(&format!("settings: {}", file.display()));
    if !failed.is_empty() {
        report(&format!("missing: {} (what is the matter stands above)", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

/// Engines for as long as somebody measures on them.
pub struct Running {
    pub folder: PathBuf,
    wanted: Vec<&'static Engine>,
}

impl Running {
    /// All of a list, or none.
    pub fn start(folder: &Path, list: &str) -> Result<Self, String> {
        let running = Self { folder: folder.to_owned(), wanted: chosen(list, Verb::Up)? };
        let ground = Ground::open(folder)?;
        for engine in &running.wanted {
            let line = start(&ground, engine).map_err(|sentence| format!("{} is not up: {sentence}", engine.name))?;
            report(&format!("{:<16} {line}", engine.name));
        }
        write(&ground.folder.join(SETTINGS), &settings(&ground))?;
        Ok(running)
    }

    /// What each has spent of a core since it was started, in seconds.
    pub fn cpu_seconds(&self) -> BTreeMap<String, f64> {
        let Ok(ground) = Ground::open(&self.folder) else { return BTreeMap::new() };
        let spent = |engine: &&'static Engine| Some((engine.name.to_owned(), ground.record(engine.name)?.cpu_seconds()));
        self.wanted.iter().filter_map(spent).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(sentence) = down(&self.folder, &self.wanted) {
            report(&sentence);
        }
    }
}

fn start(ground: &Ground, engine: &Engine) -> Result<String, String> {
    if let Some(record) = ground.record(engine.name).filter(Record::alive) {
        if record.ready_millis.is_some() && (engine.answers)(&ground.place_of(engine.name, &record)).is_ok() {
            return Ok(format!("is up already, at 127.0.0.1:{}", record.ports.first().copied().unwrap_or_default()));
        }
        record.stop(engine.stop);
    }
    let program = engine.source.obtain()?;
    tls::prepare(&ground.folder)?;
    let place = ground.place(engine.name, engine.ports, program)?;
    let began = now();
    (engine.configure)(&place)?;
    let record = serve(engine, &place, engine.settle, began)?;
    Ok(format!("is ready after {} at 127.0.0.1:{}, {} MB", record.took(), place.port(), record.memory_mb()))
}

/// Starts the server over what is in its place, and does what is to be done once it answers.
fn serve(engine: &Engine, place: &Place, settle: fn(&Place) -> Result<(), String>, began: Duration) -> Result<Record, String> {
    let (mut child, mut record) = place.spawn((engine.command)(place)?)?;
    let ready = wait(engine, place, &mut child).and_then(|()| settle(place));
    if let Err(sentence) = ready {
        report(&format!("    {}\n    (more in {})", place.last_words(), place.file("log").display()));
        record.stop(engine.stop);
        drop(child.try_wait());
        return Err(sentence);
    }
    record.ready_millis = Some(u64::try_from(now().saturating_sub(began).as_millis()).unwrap_or(u64::MAX));
    record.write(&place.folder)?;
    Ok(record)
}

/// Ends servers as a crash does, and starts each again at its port over the data that it has kept. True if all answer again.
fn crash(folder: &Path, wanted: &[&'static Engine]) -> Result<bool, String> {
    let ground = Ground::open(folder)?;
    let mut sound = true;
    for engine in wanted {
        let line = crash_one(&ground, engine).unwrap_or_else(|sentence| {
            sound = false;
            sentence
        });
        report(&format!("{:<16} {line}", engine.name));
    }
    Ok(sound)
}

fn crash_one(ground: &Ground, engine: &Engine) -> Result<String, String> {
    let record = ground.record(engine.name).ok_or("is not up")?;
    let began = now();
    // It may have ended by itself: for want of room, say.
    let end = if record.alive() { "was killed" } else { "had ended" };
    if record.alive() && !record.kill() {
        return Err(format!("does not end: process {}", record.process));
    }
    let place = ground.place_of(engine.name, &record);
    let mut tries_left = 3;
    loop {
        match serve(engine, &place, nothing_more, began) {
            Ok(record) => return Ok(format!("{end}, and answers again after {}", record.took())),
            Err(sentence) if tries_left == 0 => return Err(format!("{end}, and does not come back: {sentence}")),
            // Some of PostgreSQL's processes outlive the one that was killed for a moment, and until then their memory is in use.
            Err(_) => {
                tries_left -= 1;
                place::pause(Duration::from_millis(500));
            }
        }
    }
}

fn wait(engine: &Engine, place: &Place, child: &mut Child) -> Result<(), String> {
    let began = now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended by itself ({status})"));
        }
        match (engine.answers)(place) {
            Ok(()) => return Ok(()),
            Err(sentence) if now().saturating_sub(began) > PATIENCE => {
                return Err(format!("it does not answer after {} s: {sentence}", PATIENCE.as_secs()));
            }
            Err(_) => place::pause(Duration::from_millis(50)),
        }
    }
}

/// The settings of all that run, as the program takes them with `--config`.
fn settings(ground: &Ground) -> String {
    let mut sections: Vec<(&str, Vec<String>)> = Vec::new();
    for engine in ENGINES {
        let Some(record) = ground.record(engine.name).filter(|record| record.ready_millis.is_some() && record.alive()) else { continue };
        for (path, value) in (engine.settings)(&ground.place_of(engine.name, &record)) {
            let (section, key) = path.split_once('.').unwrap_or((engine.name, path));
            let line = format!("{key} = \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
            match sections.iter_mut().find(|(name, _)| *name == section) {
                Some((_, lines)) => lines.push(line),
                None => sections.push((section, vec![line])),
            }
        }
    }
    let mut text = "# Engines on this machine, started by `cargo xtask engines up`; gone after `cargo xtask engines down`.\n".to_owned();
    for (section, lines) in sections {
        text.push_str(&format!("\n[engines.{section}]\n{}\n", lines.join("\n")));
    }
    text
}

/// Stops what `up` started in this folder, the last first, and takes its data away.
fn down(folder: &Path, wanted: &[&'static Engine]) -> Result<bool, String> {
    if !folder.exists() {
        report(&format!("nothing is up in {}", folder.display()));
        return Ok(true);
    }
    let ground = Ground::open(folder)?;
    let mut sound = true;
    for engine in wanted.iter().rev() {
        let Some(record) = ground.record(engine.name) else { continue };
        let line = if record.stop(engine.stop) { "stopped" } else { "had ended before" };
        if record.alive() {
            report(&format!("{:<16} does not end: process {}", engine.name, record.process));
            sound = false;
            continue;
        }
        report(&format!("{:<16} {line}", engine.name));
        ground.clear(engine.name)?;
    }
    // What broke off before a process was started has left a folder without a record.
    for engine in wanted.iter().filter(|engine| ground.record(engine.name).is_none()) {
        ground.clear(engine.name)?;
    }
    if ground.folder.exists() {
        write(&ground.folder.join(SETTINGS), &settings(&ground))?;
    }
    Ok(sound)
}

/// One line for each; true if all that was started answers.
fn status(folder: &Path, wanted: &[&'static Engine]) -> Result<bool, String> {
    let ground = if folder.exists() { Some(Ground::open(folder)?) } else { None };
    let mut sound = true;
    for engine in wanted {
        let record = ground.as_ref().and_then(|ground| Some((ground, ground.record(engine.name)?)));
        let Some((ground, record)) = record else {
            say(&format!("{:<16} is not up\n", engine.name));
            continue;
        };
        let port = record.ports.first().copied().unwrap_or_default();
        let state = if !record.alive() {
            Err("has ended".to_owned())
        } else {
            (engine.answers)(&ground.place_of(engine.name, &record)).map_err(|sentence| format!("does not answer: {sentence}"))
        };
        sound &= state.is_ok();
        let state = match state {
            Ok(()) => format!("answers at 127.0.0.1:{port}, {} MB", record.memory_mb()),
            Err(sentence) => sentence,
        };
        say(&format!("{:<16} {state}, process {}\n", engine.name, record.process));
    }
    Ok(sound)
}

/// The result; all else is told beside it. Whoever reads it may have stopped reading.
fn say(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// For an engine that needs nothing more once it answers.
fn nothing_more(_: &Place) -> Result<(), String> {
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a tool outside of the system, by the machine's clock")]
fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
