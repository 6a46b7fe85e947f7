//! What a person reads: a run, a check, the list of scenarios, in lines of at most 100 columns. A line is made of spans that say what they
//! mean, not how they look: who prints them decides about colours, and [`plain`] has none.

use std::time::Duration;

use crate::{
    invariants::Invariant,
    record::Written,
    scenario::{Column, Run, RungRun, SCENARIOS, Scenario},
    verdict::Verdict,
    verify,
};

/// The widest line.
pub const WIDTH: usize = 100;

/// What a span means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// What the eye should find first.
    Strong,
    /// What may be passed over.
    Dim,
    Good,
    Bad,
    /// Neither: damage that has moved.
    Mixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub tone: Tone,
}

/// One line, without its line break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl Line {
    fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push(Span { text: text.into(), tone });
        self
    }

    fn of(text: impl Into<String>) -> Self {
        Self::default().with(Tone::Plain, text)
    }

    /// How many columns it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|span| span.text.chars().count()).sum()
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.0.iter().map(|span| span.text.as_str()).collect();
        f.write_str(text.trim_end())
    }
}

/// The lines as text, each with its line break.
#[must_use]
pub fn plain(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A run with its table. `written` is where its record lies.
#[must_use]
pub fn run(run: &Run, written: Option<&Written>, wall: Duration) -> Vec<Line> {
    let mut lines = Vec::new();
    let head = format!(" incident: {} · seed {} · {}", run.scenario.name, run.seed, (run.scenario.describe)(&run.knobs));
    lines.extend(wrapped(&head, 11).into_iter().map(|text| Line::default().with(Tone::Strong, text)));
    lines.push(Line::default());
    lines.extend(table(run));
    lines.push(Line::default());
    for rung in run.rungs.iter().filter(|rung| !rung.reasons.is_empty()) {
        lines.push(Line::default().with(Tone::Bad, format!("   {} is not as declared:", rung.rung.name)));
        for reason in &rung.reasons {
            lines.extend(wrapped(&format!("     {reason}"), 5).into_iter().map(Line::of));
        }
    }
    if let Some(telling) = run.telling() {
        lines.extend(told(run, telling, written, wall));
    }
    lines
}

fn told(run: &Run, telling: &RungRun, written: Option<&Written>, wall: Duration) -> Vec<Line> {
    let mut texts = Vec::new();
    if let Some(written) = written.filter(|_| !telling.damage.is_empty()) {
        let count = telling.damage.len();
        let [one, several] = run.scenario.damage;
        let orders = if count == 1 { one.to_owned() } else { format!("{count} {several}") };
        texts.push(format!("   The {orders}: {}", written.damaged.display()));
    }
    if let Some(cause) = telling.record.root_causes.first().filter(|_| telling.verdict == Verdict::Reproduced) {
        texts.push(format!("   Cause: {}.", cause.cause));
    }
    let twins: usize = run.rungs.iter().map(|rung| rung.twins.as_ref().map_or(0, Vec::len)).sum();
    let digest: String = telling.digest.chars().take(16).collect();
    let always = if run.clock == crate::target::ClockKind::Simulated { format!(", always, for seed {}", run.seed) } else { String::new() };
    texts.push(format!(
        "   {} and {} in {:.1} s, each {} of {} time. Digest of {}: {digest}{always}.",
        counted(run.rungs.len(), "rung"),
        counted(twins, "twin"),
        wall.as_secs_f64(),
        lasting(run.lasted),
        if run.clock == crate::target::ClockKind::Simulated { "virtual" } else { "real" },
        telling.rung.name,
    ));
    texts.iter().flat_map(|text| wrapped(text, 3)).map(Line::of).collect()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

fn shown(column: &Column, value: i64) -> String {
    match (column.is_money, value) {
        (true, 0) => "–".to_owned(),
        (true, value) => format!("${}.{:02}", value / 100, value % 100),
        (false, value) => value.to_string(),
    }
}

fn table(run: &Run) -> Vec<Line> {
    let columns = run.scenario.columns;
    let names: Vec<String> = run.rungs.iter().map(|rung| format!("{:<3} {}", rung.rung.name, rung.rung.title)).collect();
    let first = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let width = |column: &Column| {
        let headings = column.heading.iter().map(|part| part.chars().count());
        let values = run.rungs.iter().map(|rung| shown(column, rung.figure(column.figure)).chars().count());
        headings.chain(values).max().unwrap_or(0) + 2
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let height = columns.iter().map(|column| column.heading.len()).max().unwrap_or(1);
    let mut lines = Vec::new();
    for row in 0..height {
        let mut text = format!("   {:<first$}", if row == 0 { "rung" } else { "" });
        for (column, width) in columns.iter().zip(&widths) {
            text.push_str(&format!("{:>width$}", column.heading.get(row).copied().unwrap_or_default()));
        }
        if row == 0 {
            text.push_str("   breaks  verdict          twins");
        }
        lines.push(Line::default().with(Tone::Dim, text));
    }
    for (rung, name) in run.rungs.iter().zip(&names) {
        let mut text = format!("   {name:<first$}");
        for (column, width) in columns.iter().zip(&widths) {
            text.push_str(&format!("{:>width$}", shown(column, rung.figure(column.figure))));
        }
        let indent = text.chars().count() + 3;
        let broken: Vec<String> = rung.broken().chunks(2).map(names_of).collect();
        let (first_broken, more) = broken.split_first().map_or(("–", &[][..]), |(first, more)| (first.as_str(), more));
        let twins = match &rung.twins {
            None => (Tone::Dim, "–"),
            Some(twins) if twins.iter().all(super::scenario::TwinRun::is_clean) => (Tone::Good, "clean"),
            Some(_) => (Tone::Bad, "broken"),
        };
        let tone = match rung.verdict {
            Verdict::Reproduced | Verdict::NotAsDeclared => Tone::Bad,
            Verdict::Displaced => Tone::Mixed,
            Verdict::Prevented => Tone::Good,
        };
        lines.push(Line::of(format!("{text}   {first_broken:<8}")).with(tone, format!("{:<17}", rung.verdict)).with(twins.0, twins.1));
        lines.extend(more.iter().map(|names| Line::of(format!("{:indent$}{names}", ""))));
    }
    lines
}

fn names_of(invariants: &[Invariant]) -> String {
    invariants.iter().map(|invariant| invariant.as_str()).collect::<Vec<_>>().join(" ")
}

/// A check of every invariant, with up to `rows` damaged rows of each.
#[must_use]
pub fn verified(report: &verify::Report, rows: usize) -> Vec<Line> {
    let facts = report.facts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    let mut lines = vec![Line::default().with(Tone::Strong, format!(" {facts}")), Line::default()];
    let longest = Invariant::ALL.iter().map(|invariant| invariant.name().len()).max().unwrap_or_default();
    for invariant in Invariant::ALL {
        let name = format!("{:<4}{:<longest$}  ", invariant.as_str(), invariant.name());
        let count = report.findings.of(invariant).count();
        let (tone, mark, state) = match report.state(invariant) {
            "broken" => (Tone::Bad, "✗", format!("broken by {}", counted(count, "row"))),
            "unchecked" => (Tone::Dim, "·", "not checked".to_owned()),
            _ => (Tone::Good, "✓", "holds".to_owned()),
        };
        lines.push(Line::default().with(tone, format!(" {mark} ")).with(Tone::Plain, name).with(tone, state));
        for (_, missing) in report.findings.unchecked.iter().filter(|(unchecked, _)| *unchecked == invariant) {
            lines.push(Line::default().with(Tone::Dim, format!("       it needs {}", missing.join(", "))));
        }
        for breach in report.findings.of(invariant).take(rows) {
            lines.extend(wrapped(&format!("       {}: {}", breach.id, breach.detail), 9).into_iter().map(Line::of));
        }
        if count > rows {
            lines.push(Line::default().with(Tone::Dim, format!("       and {} more", count - rows)));
        }
    }
    lines
}

/// Every scenario with its ladder and its knobs.
#[must_use]
pub fn list() -> Vec<Line> {
    SCENARIOS.iter().flat_map(|scenario| described(scenario)).collect()
}

fn described(scenario: &Scenario) -> Vec<Line> {
    let mut lines =
        vec![Line::default().with(Tone::Strong, format!(" {}", scenario.name)).with(Tone::Plain, format!("  {}", scenario.summary))];
    for rung in scenario.ladder {
        let breaks = if rung.breaks.is_empty() { String::new() } else { format!(" Breaks {}.", names_of(rung.breaks)) };
        lines.extend(wrapped(&format!("   {:<4}{}{breaks}", rung.name, rung.description), 7).into_iter().map(Line::of));
    }
    lines.push(Line::default().with(Tone::Dim, "   knobs (--set knob=value)"));
    for knob in scenario.knobs {
        lines.extend(wrapped(&format!("   {:<22}{} {}.", knob.name, knob.summary, knob.range()), 25).into_iter().map(Line::of));
    }
    lines
}

/// The text in lines of at most [`WIDTH`] columns; those after the first are indented. A word that is longer than that stays whole.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let lead: String = text.chars().take_while(|letter| *letter == ' ').collect();
    let mut lines = Vec::new();
    let mut line = lead;
    let mut is_empty = true;
    for word in text.trim_start().split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_wrapped_and_indented() {
        let lines = wrapped(&format!("   {}", "word ".repeat(40).trim_end()), 5);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("   word") && lines[1].starts_with("     word"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(wrapped("   knob      text stays aligned", 3), ["   knob      text stays aligned"]);
    }

    #[test]
    fn the_list_names_rungs_and_knobs_within_the_width() {
        let text = plain(&list());
        assert!(text.contains(" oversell  A hold runs out"), "{text}");
        assert!(text.contains("   R0  ") && text.contains("Breaks I2 I3 I18.") && text.contains("   ttl_seconds"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
