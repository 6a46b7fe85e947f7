//! A bundle: one run of a scenario as a folder, for looking at the incident without a system at hand. In it is what an operator would have:
//! what the services announced, what they say of themselves, their logs, traces, metrics and settings. What was done to them is not in it: that is
//! the incident record, which is written elsewhere, so that somebody (or some program) can be given the one without the other.

use std::{fs, io, path::Path};

use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use types::Timestamp;

use crate::{
    experiment::Kept,
    scenario::LabError,
    target::{Request, Target, TargetError},
};

pub const FORMAT: &str = "crashcart.bundle/1";

/// `bundle.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: &'static str,
    pub build: &'static str,
    pub seed: u64,
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Of the audit exports: another run of this seed and build has the same.
    pub digest: String,
    pub files: Vec<File>,
}

/// One file of it.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// Below the bundle's folder.
    pub path: String,
    /// What it tells.
    pub what: String,
    pub lines: usize,
    pub bytes: usize,
    pub sha256: String,
}

/// Writes a bundle to a folder that is not there yet. It is made beside it and moved into place, so that a bundle is whole or not there.
pub fn write(folder: &Path, seed: u64, kept: &Kept) -> Result<Manifest, LabError> {
    if folder.exists() {
        return Err(LabError::Taken(folder.to_owned()));
    }
    let name = folder.file_name().map_or_else(|| "bundle".into(), |name| name.to_string_lossy().into_owned());
    let making = folder.with_file_name(format!(".{name}.making"));
    let told = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| LabError::Write { path, source }
    };
    if making.exists() {
        fs::remove_dir_all(&making).map_err(told(&making))?;
    }
    fs::create_dir_all(making.join("facts")).map_err(told(&making))?;
    let mut files = Vec::new();
    for (path, what, content) in contents(kept) {
        let place = making.join(&path);
        fs::write(&place, content).map_err(told(&place))?;
        let lines = content.iter().filter(|byte| **byte == b'\n').count();
        files.push(File { path, what, lines, bytes: content.len(), sha256: hex::encode(Sha256::digest(content)) });
    }
    let manifest = Manifest {
        format: FORMAT,
        build: env!("CARGO_PKG_VERSION"),
        seed,
        began: kept.began,
        ended: kept.ended,
        digest: kept.rung.digest.clone(),
        files,
    };
    let place = making.join("bundle.json");
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| told(&place)(error.into()))?;
    fs::write(&place, text + "\n").map_err(told(&place))?;
    fs::rename(&making, folder).map_err(told(folder))?;
    Ok(manifest)
}

/// Path, meaning and content of each file.
fn contents(kept: &Kept) -> Vec<(String, String, &[u8])> {
    let heard = &kept.recording;
    let mut all: Vec<(String, String, &[u8])> = vec![
        ("settings.toml".into(), "the settings of the services; secrets are masked".into(), heard.settings.as_bytes()),
        ("events.jsonl".into(), "every event in the log, decoded, by the moment at which it came".into(), &kept.events),
        ("logs.jsonl".into(), "what the services logged, from info on".into(), &heard.logs),
        ("traces.jsonl".into(), "every span, in the order in which they ended".into(), &heard.traces),
        ("metrics.txt".into(), "the metrics, read every 15 seconds: OpenMetrics with timestamps".into(), heard.metrics.as_bytes()),
    ];
    // What each event is stands in `events.jsonl`, readable.
    for (name, lines) in kept.exports.iter().filter(|(name, _)| *name != "events") {
        all.push((format!("facts/{name}.jsonl"), format!("what the services say of their {}, at the end", name.replace('-', " ")), lines));
    }
    all
}

/// Every event of a system, decoded, a line each.
pub(crate) async fn events(target: &dyn Target) -> Result<Vec<u8>, TargetError> {
    let (mut lines, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = target.admin(Request::get(format!("/lab/events?limit=1000&after={cursor}"))).await?;
        let page: Json = serde_json::from_slice(&reply.body)
            .map_err(|error| TargetError::Unreachable { request: "GET /lab/events".into(), reason: error.to_string() })?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return Ok(lines);
        }
        for item in items {
            lines.extend(item.to_string().into_bytes());
            lines.push(b'\n');
        }
        cursor = page["next"].as_str().unwrap_or_default().to_owned();
    }
}
