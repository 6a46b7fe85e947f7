//! Can data written with one schema be read with another, and how? Avro's "Schema Resolution", worked out once for each pair of
//! schemas. The same plan answers both questions: the registry refuses a schema whose plan has problems, and the codec follows the
//! plan to turn the writer's bytes into the reader's. So "compatible" means what decoding does; the library's check and the
//! library's decoding differ from each other and from the specification (aliases, renamed types, references, promotion in unions).
//!
//! Stricter than the specification in one point: two logical types that read the same number in different units (milliseconds as
//! microseconds, a decimal with another scale) do not resolve. Those bytes decode without an error, into something a thousand
//! times too large.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    datum::{DatumError, Input, check, deeper, write_bytes, write_long},
    tree::{Field, Kind, Names, NodeId, Tree},
};

/// One thing that a reader cannot do with what the writer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// The field, from the outside in: `/lines/price`.
    pub path: String,
    pub problem: String,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.path, self.problem)
    }
}

/// Everything that keeps `reader` from reading what `writer` wrote; empty when nothing does.
pub(crate) fn incompatibilities(writer: &Arc<Tree>, reader: &Arc<Tree>) -> Vec<Incompatibility> {
    Plan::new(Arc::clone(writer), Arc::clone(reader)).problems
}

/// How large a converted datum may become: defaults could make much of little.
const MOST_BYTES: usize = 64 << 20;

type StepId = usize;

/// How the writer's bytes become the reader's.
#[derive(Debug)]
pub(crate) struct Plan {
    writer: Arc<Tree>,
    steps: Vec<Step>,
    root: StepId,
    pub problems: Vec<Incompatibility>,
}

#[derive(Debug)]
enum Step {
    /// No datum gets past here; the position of the problem.
    Fail(usize),
    Null,
    Boolean,
    /// An int or a long that stays one: both are written alike.
    Integer,
    IntegerToFloat,
    IntegerToDouble,
    FloatToDouble,
    /// So many bytes as they are.
    Raw(usize),
    Bytes,
    /// Bytes that must be UTF-8.
    Text,
    /// The reader's symbol for each of the writer's; or the position of the problem.
    Enum(Vec<Result<usize, usize>>),
    Array(StepId),
    Map(StepId),
    /// The writer's union: a step for each branch.
    Branches(Vec<StepId>),
    /// The value becomes this branch of the reader's union.
    Wrap(usize, StepId),
    Record {
        reads: Vec<Read>,
        writes: Vec<Write>,
        /// The reader's fields come in the writer's order, with defaults and skipped fields between them.
        in_order: bool,
    },
}

/// What happens to a field of the writer.
#[derive(Debug)]
enum Read {
    Skip(NodeId),
    Keep(StepId),
}

/// Where a field of the reader comes from.
#[derive(Debug)]
enum Write {
    /// The position of the writer's field.
    Field(usize),
    Default(Vec<u8>),
    /// The position of the problem.
    Missing(usize),
}

impl Plan {
    pub fn new(writer: Arc<Tree>, reader: Arc<Tree>) -> Self {
        let mut planner = Planner { writer: &writer, reader: &reader, steps: Vec::new(), known: BTreeMap::new(), problems: Vec::new() };
        let root = planner.step(writer.root, reader.root, "");
        let (steps, problems) = (planner.steps, planner.problems);
        Self { writer, steps, root, problems }
    }

    /// The reader's datum for the writer's, and how many of `bytes` are left over.
    pub fn convert(&self, bytes: &[u8]) -> Result<(Vec<u8>, usize), DatumError> {
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4);
        let mut input = Input::new(bytes);
        self.run(self.root, &mut input, &mut out, 0)?;
        Ok((out, input.left()))
    }

    fn fail(&self, problem: usize, input: &Input<'_>) -> DatumError {
        input.wrong(self.problems.get(problem).map_or_else(|| "the schemas do not resolve".to_owned(), ToString::to_string))
    }

    fn run(&self, step: StepId, input: &mut Input<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), DatumError> {
        let depth = deeper(depth, input)?;
        if out.len() > MOST_BYTES {
            return Err(input.wrong(format!("the converted value is larger than {MOST_BYTES} bytes")));
        }
        match &self.steps[step] {
            Step::Fail(problem) => return Err(self.fail(*problem, input)),
            Step::Null => {}
            Step::Boolean => out.push(u8::from(input.boolean()?)),
            Step::Integer => write_long(out, input.long()?),
            Step::IntegerToFloat => out.extend((input.long()? as f32).to_le_bytes()),
            Step::IntegerToDouble => out.extend((input.long()? as f64).to_le_bytes()),
            Step::FloatToDouble => out.extend(f64::from(f32::from_le_bytes(input.array()?)).to_le_bytes()),
            Step::Raw(size) => out.extend(input.take(*size)?),
            Step::Bytes => write_bytes(out, input.bytes()?),
            Step::Text => write_bytes(out, input.text()?.as_bytes()),
            Step::Enum(symbols) => match symbols[input.index(symbols.len())?] {
                Ok(symbol) => write_index(out, symbol),
                Err(problem) => return Err(self.fail(problem, input)),
            },
            Step::Array(item) => {
                input.blocks(|input| {
                    write_long(out, 1);
                    self.run(*item, input, out, depth)
                })?;
                write_long(out, 0);
            }
            Step::Map(item) => {
                input.blocks(|input| {
                    write_long(out, 1);
                    write_bytes(out, input.bytes()?);
                    self.run(*item, input, out, depth)
                })?;
                write_long(out, 0);
            }
            Step::Branches(branches) => {
                let branch = input.index(branches.len())?;
                self.run(branches[branch], input, out, depth)?;
            }
            Step::Wrap(branch, inner) => {
                write_index(out, *branch);
                self.run(*inner, input, out, depth)?;
            }
            Step::Record { reads, writes, in_order: true } => self.stream(reads, writes, input, out, depth)?,
            Step::Record { reads, writes, in_order: false } => self.reorder(reads, writes, input, out, depth)?,
        }
        Ok(())
    }

    /// A record whose kept fields stand in the same order on both sides.
    fn stream(&self, reads: &[Read], writes: &[Write], input: &mut Input<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), DatumError> {
        let mut next = 0;
        let skip = |from: usize, to: usize, input: &mut Input<'_>| {
            reads[from..to].iter().try_for_each(|read| match read {
                Read::Skip(node) => check(&self.writer, *node, input, depth),
                // Every kept field is some reader's, and those come one after the other.
                Read::Keep(_) => Ok(()),
            })
        };
        for write in writes {
            match write {
                Write::Default(bytes) => out.extend(bytes),
                Write::Missing(problem) => return Err(self.fail(*problem, input)),
                Write::Field(position) => {
                    skip(next, *position, input)?;
                    next = position + 1;
                    if let Read::Keep(step) = &reads[*position] {
                        self.run(*step, input, out, depth)?;
                    }
                }
            }
        }
        skip(next, reads.len(), input)
    }

    fn reorder(&self, reads: &[Read], writes: &[Write], input: &mut Input<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), DatumError> {
        let mut values = Vec::with_capacity(reads.len());
        for read in reads {
            let mut value = Vec::new();
            match read {
                Read::Skip(node) => check(&self.writer, *node, input, depth)?,
                Read::Keep(step) => self.run(*step, input, &mut value, depth)?,
            }
            values.push(value);
        }
        for write in writes {
            match write {
                Write::Default(bytes) => out.extend(bytes),
                Write::Missing(problem) => return Err(self.fail(*problem, input)),
                Write::Field(position) => out.extend(&values[*position]),
            }
        }
        Ok(())
    }
}

fn write_index(out: &mut Vec<u8>, index: usize) {
    write_long(out, i64::try_from(index).unwrap_or(i64::MAX));
}

struct Planner<'a> {
    writer: &'a Tree,
    reader: &'a Tree,
    steps: Vec<Step>,
    /// Recursive schemas meet themselves here.
    known: BTreeMap<(NodeId, NodeId), StepId>,
    problems: Vec<Incompatibility>,
}

impl Planner<'_> {
    fn problem(&mut self, path: &str, problem: impl Into<String>) -> usize {
        let path = if path.is_empty() { "/" } else { path };
        self.problems.push(Incompatibility { path: path.to_owned(), problem: problem.into() });
        self.problems.len() - 1
    }

    fn step(&mut self, writer: NodeId, reader: NodeId, path: &str) -> StepId {
        if let Some(&step) = self.known.get(&(writer, reader)) {
            return step;
        }
        let id = self.steps.len();
        self.steps.push(Step::Null);
        self.known.insert((writer, reader), id);
        let step = self.resolve(writer, reader, path);
        self.steps[id] = step;
        id
    }

    fn resolve(&mut self, writer: NodeId, reader: NodeId, path: &str) -> Step {
        let (writer_kind, reader_kind) = (self.writer.kind(writer), self.reader.kind(reader));
        match (writer_kind, reader_kind) {
            (Kind::Union(branches), _) => Step::Branches(branches.iter().map(|branch| self.step(*branch, reader, path)).collect()),
            (_, Kind::Union(branches)) => match self.best_branch(writer, branches) {
                Some(index) => Step::Wrap(index, self.step(writer, branches[index], path)),
                None => {
                    let names: Vec<String> = branches.iter().map(|branch| self.reader.kind(*branch).describe()).collect();
                    let text =
                        format!("the writer may write {}, which the reader's union of {} lacks", writer_kind.describe(), names.join(", "));
                    Step::Fail(self.problem(path, text))
                }
            },
            _ => {
                if let Some(text) = self.logical_mismatch(writer, reader) {
                    return Step::Fail(self.problem(path, text));
                }
                self.plain(writer, reader, path)
            }
        }
    }

    fn plain(&mut self, writer: NodeId, reader: NodeId, path: &str) -> Step {
        let (writer_kind, reader_kind) = (self.writer.kind(writer), self.reader.kind(reader));
        match (writer_kind, reader_kind) {
            (Kind::Null, Kind::Null) => Step::Null,
            (Kind::Boolean, Kind::Boolean) => Step::Boolean,
            (Kind::Int, Kind::Int | Kind::Long) | (Kind::Long, Kind::Long) => Step::Integer,
            (Kind::Int | Kind::Long, Kind::Float) => Step::IntegerToFloat,
            (Kind::Int | Kind::Long, Kind::Double) => Step::IntegerToDouble,
            (Kind::Float, Kind::Double) => Step::FloatToDouble,
            (Kind::Float, Kind::Float) => Step::Raw(4),
            (Kind::Double, Kind::Double) => Step::Raw(8),
            (Kind::Bytes | Kind::String, Kind::Bytes) => Step::Bytes,
            (Kind::Bytes | Kind::String, Kind::String) => Step::Text,
            (Kind::Fixed { names: written, size: from }, Kind::Fixed { names: read, size: to }) if same_name(written, read) => {
                if from == to {
                    Step::Raw(*from)
                } else {
                    Step::Fail(self.problem(path, format!("the writer's fixed `{}` has {from} bytes, the reader's {to}", read.full)))
                }
            }
            (Kind::Enum { names: written, symbols: from, .. }, Kind::Enum { names: read, symbols: to, default })
                if same_name(written, read) =>
            {
                let symbols = from.iter().map(|symbol| match to.iter().position(|other| other == symbol).or(*default) {
                    Some(position) => Ok(position),
                    None => Err(self.problem(
                        path,
                        format!("the writer's enum `{}` has the symbol `{symbol}`; the reader's lacks it and has no default", read.full),
                    )),
                });
                Step::Enum(symbols.collect())
            }
            (Kind::Array(from), Kind::Array(to)) => Step::Array(self.step(*from, *to, path)),
            (Kind::Map(from), Kind::Map(to)) => Step::Map(self.step(*from, *to, path)),
            (Kind::Record { names: written, fields: from }, Kind::Record { names: read, fields: to }) if same_name(written, read) => {
                self.record(from, to, path)
            }
            _ => {
                let text = format!("the writer writes {}, which cannot be read as {}", writer_kind.describe(), reader_kind.describe());
                Step::Fail(self.problem(path, text))
            }
        }
    }

    fn record(&mut self, from: &[Field], to: &[Field], path: &str) -> Step {
        let by_name = |name: &String| from.iter().position(|field| field.name == *name);
        // A name is stronger than another field's alias for it.
        let by_alias = |field: &Field| {
            let free = |alias: &&String| to.iter().all(|other| other.name != **alias);
            field.aliases.iter().filter(free).find_map(by_name)
        };
        let mut reads: Vec<Read> = from.iter().map(|field| Read::Skip(field.node)).collect();
        let mut writes = Vec::with_capacity(to.len());
        for field in to {
            let path = format!("{path}/{}", field.name);
            let source = by_name(&field.name).or_else(|| by_alias(field)).filter(|position| matches!(reads[*position], Read::Skip(_)));
            writes.push(match (source, &field.default) {
                (Some(position), _) => {
                    reads[position] = Read::Keep(self.step(from[position].node, field.node, &path));
                    Write::Field(position)
                }
                (None, Some(default)) => Write::Default(default.clone()),
                (None, None) => {
                    let text = "the reader expects the field, the writer does not write it, and it has no default: give it one";
                    Write::Missing(self.problem(&path, text))
                }
            });
        }
        let positions = || writes.iter().filter_map(|write| if let Write::Field(position) = write { Some(*position) } else { None });
        let in_order = positions().is_sorted();
        Step::Record { reads, writes, in_order }
    }

    /// The reader's branch for a value: the same type under the same full name, then one that matches by its short name or an alias,
    /// then one to which the value can be promoted.
    fn best_branch(&self, writer: NodeId, branches: &[NodeId]) -> Option<usize> {
        let rank = |branch: &NodeId| -> Option<u32> {
            let (from, to) = (self.writer.kind(writer), self.reader.kind(*branch));
            if self.logical_mismatch(writer, *branch).is_some() {
                return None;
            }
            match (from, to) {
                (Kind::Record { names: from, .. }, Kind::Record { names: to, .. })
                | (Kind::Enum { names: from, .. }, Kind::Enum { names: to, .. })
                | (Kind::Fixed { names: from, .. }, Kind::Fixed { names: to, .. }) => {
                    if from.full == to.full {
                        Some(0)
                    } else {
                        same_name(from, to).then_some(1)
                    }
                }
                (Kind::Int, Kind::Long)
                | (Kind::Int | Kind::Long, Kind::Float | Kind::Double)
                | (Kind::Float, Kind::Double)
                | (Kind::Bytes, Kind::String)
                | (Kind::String, Kind::Bytes) => Some(2),
                _ => (std::mem::discriminant(from) == std::mem::discriminant(to)).then_some(0),
            }
        };
        let ranked = branches.iter().enumerate().filter_map(|(index, branch)| rank(branch).map(|rank| (rank, index)));
        ranked.min().map(|(_, index)| index)
    }

    /// Why two logical types must not be read as each other. One that appears or goes is no mismatch: the number stays what it was.
    fn logical_mismatch(&self, writer: NodeId, reader: NodeId) -> Option<String> {
        const UNITS: [&[&str]; 3] = [
            &["timestamp-millis", "timestamp-micros", "timestamp-nanos"],
            &["local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos"],
            &["time-millis", "time-micros"],
        ];
        let (from, to) = (self.writer.logical(writer)?, self.reader.logical(reader)?);
        let unit = |name: &str| UNITS.iter().position(|family| family.contains(&name));
        if from.name != to.name && unit(&from.name).is_some() && unit(&from.name) == unit(&to.name) {
            return Some(format!("the writer's {} would be read as {}: the same number in another unit", from.name, to.name));
        }
        (from.name == "decimal" && to.name == "decimal" && from != to).then(|| {
            format!(
                "the writer's decimal has precision {} and scale {}, the reader's {} and {}",
                from.precision, from.scale, to.precision, to.scale
            )
        })
    }
}

/// The short names are equal, or the reader has the writer's name as an alias.
fn same_name(writer: &Names, reader: &Names) -> bool {
    let short = |full: &str| full.rsplit('.').next().map(str::to_owned);
    short(&writer.full) == short(&reader.full) || reader.aliases.contains(&writer.full)
}

#[cfg(test)]
mod tests;
