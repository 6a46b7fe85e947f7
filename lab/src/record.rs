//! The incident record, `crashcart.incident/1`: the ground truth of one reproduced incident, for people and for whoever scores a diagnosis. It
//! is written to a folder of its own, apart from everything that a diagnosing agent can read.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value as Json;
use types::Timestamp;

use crate::scenario::LabError;

pub const FORMAT: &str = "crashcart.incident/1";

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub format: &'static str,
    /// `oversell-R0-42`.
    pub id: String,
    pub scenario: &'static str,
    pub rung: &'static str,
    pub seed: u64,
    pub build: String,
    pub clock: &'static str,
    pub knobs: Json,
    pub verdict: String,
    pub preconditions: Vec<Precondition>,
    pub interventions: Vec<Intervention>,
    pub root_causes: Vec<RootCause>,
    pub timeline: Vec<Moment>,
    pub propagation: Vec<Edge>,
    pub violations: Json,
    pub impact: Json,
    pub remedies: Vec<Remedy>,
    pub twins: Vec<Twin>,
    pub digests: Json,
}

/// What had to be so, with the value that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    pub name: &'static str,
    pub value: i64,
    pub is_met: bool,
}

/// What was changed in the system to bring the incident about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intervention {
    pub component: &'static str,
    pub store: Option<&'static str>,
    pub mechanism: &'static str,
    pub parameter: &'static str,
    pub before: Json,
    pub after: Json,
    pub from: Timestamp,
    pub to: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootCause {
    pub cause: String,
    pub component: &'static str,
    /// Other words for the same: whoever says one of them has found it.
    pub aliases: &'static [&'static str],
}

/// A turn of the incident; without a moment when it never came to that.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// inject, first effect, first violation, first visible symptom, first alert, recovered
    pub what: &'static str,
    pub at: Option<Timestamp>,
    pub detail: String,
}

/// How the damage went from one component to the next, and what shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    pub from: &'static str,
    pub to: &'static str,
    pub how: &'static str,
    pub evidence: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    pub rung: &'static str,
    pub what: &'static str,
    /// What must hold once it is in place.
    pub must_hold: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Twin {
    pub conditions: String,
    pub violations: Json,
    pub figures: Json,
}

/// A damaged row, as `damaged.csv` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub order_id: String,
    pub sku: String,
    pub units: i64,
    pub money_minor: i64,
    pub hold_expired_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
}

/// The damaged rows as CSV, with a head.
#[must_use]
pub fn csv(rows: &[Damage]) -> String {
    let mut text = String::from("order_id,sku,units,money_minor,hold_expired_at,paid_at\n");
    for row in rows {
        let moment = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
        // Ids, SKUs, numbers and times: none of them has a comma or a quote.
        let Damage { order_id, sku, units, money_minor, .. } = row;
        let line = format!("{order_id},{sku},{units},{money_minor},{},{}\n", moment(row.hold_expired_at), moment(row.paid_at));
        text.push_str(&line);
    }
    text
}

/// Where a record was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub record: PathBuf,
    pub damaged: PathBuf,
}

/// Writes `incident.json` and `damaged.csv` into `folder/SCENARIO-SEED` (with the rung, unless it is the vulnerable one).
pub fn write(folder: &Path, record: &Record, damage: &[Damage]) -> Result<Written, LabError> {
    let name = if record.rung == "R0" { format!("{}-{}", record.scenario, record.seed) } else { record.id.clone() };
    let folder = folder.join(name);
    let written = Written { record: folder.join("incident.json"), damaged: folder.join("damaged.csv") };
    let told = |path: &Path| {
        let path = path.to_owned();
        move |source| LabError::Write { path, source }
    };
    std::fs::create_dir_all(&folder).map_err(told(&folder))?;
    let mut text = serde_json::to_string_pretty(record).map_err(|error| told(&written.record)(error.into()))?;
    text.push('\n');
    std::fs::write(&written.record, text).map_err(told(&written.record))?;
    std::fs::write(&written.damaged, csv(damage)).map_err(told(&written.damaged))?;
    Ok(written)
}
