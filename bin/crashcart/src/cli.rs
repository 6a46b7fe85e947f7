//! Every command and its options. What a command does stands in its own file.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use platform::{Settings, settings};

use crate::{
    commands::{
        api, bundle, checkout, crash, demo, events, fault, health, load, scenario, seed, settings as show_settings, simulate, token, up,
        verify,
    },
    output::{self, Failure, Outcome},
};

/// A commerce backbone that you can break on purpose, and prove it.
///
/// All services run in one process on embedded stores; nothing else is needed. Start with `crashcart demo`.
#[derive(Parser, Debug)]
#[command(name = "crashcart", version, max_term_width = 100, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The result as JSON on stdout, for programs
    #[arg(long, global = true)]
    json: bool,
    /// A settings file (TOML); every key and its default: `crashcart settings`
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The main job, by itself: start everything, take orders, oversell on every rung, prove it
    Demo(demo::Demo),
    /// The whole system in this process, or some of its services, until Ctrl-C
    Up(up::Up),
    /// Whether a gateway or a service is ready
    Health(health::Health),
    /// Fill a running system with the data set, through its public APIs
    Seed(seed::Seed),
    /// Take orders end to end and show the journey of each
    Checkout(checkout::Checkout),
    /// The incidents: list them, run one
    Scenario(scenario::Scenario),
    /// One run of a scenario as a folder: events, logs, traces, metrics, facts, to be looked at offline
    Bundle(bundle::Bundle),
    /// Worlds at random, with faults and crashes: every invariant must hold in each
    Simulate(simulate::Simulate),
    /// Check every invariant over a running or a stopped system
    Verify(verify::Verify),
    /// Kill a system of its own again and again, and prove that nothing acknowledged is lost
    Crash(crash::Crash),
    /// Put load on a running system and measure it
    Load(load::Load),
    /// Faults in a running system: list, set, clear
    Fault(fault::Fault),
    /// The events of a running system: tail, show
    Events(events::Events),
    /// A token for the APIs (needed where auth = "jwt")
    Token(token::Token),
    /// The API documents: export
    Api(api::Api),
    /// Every setting, its value and where it comes from
    Settings(show_settings::Show),
}

/// What every command is given.
pub struct Common {
    pub json: bool,
    config: Option<PathBuf>,
}

impl Common {
    /// The settings: defaults, file, `.env`, environment. A mistake in them is told before anything else happens.
    pub fn settings(&self) -> Result<Settings, Failure> {
        Settings::load(settings::DEFAULTS, self.config.as_deref(), settings::environment()).map_err(Failure::usage)
    }
}

/// Parses, runs, ends with an exit code: 0 when all is well, 1 when the answer is no, 2 for bad usage.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let common = Common { json: cli.json, config: cli.config };
    output::finish(dispatch(cli.command, &common))
}

fn dispatch(command: Command, common: &Common) -> Outcome {
    // A simulated world brings its own runtime; everything else runs in this one.
    match command {
        Command::Scenario(scenario) => scenario.run(common),
        Command::Bundle(bundle) => bundle.run(common),
        Command::Simulate(simulate) => simulate.run(common),
        Command::Demo(demo) => demo.run(common),
        Command::Settings(show) => show.run(common),
        Command::Api(api) => api.run(common),
        command => runtime()?.block_on(async {
            match command {
                Command::Up(up) => up.run(common).await,
                Command::Health(health) => health.run(common).await,
                Command::Seed(seed) => seed.run(common).await,
                Command::Checkout(checkout) => checkout.run(common).await,
                Command::Verify(verify) => verify.run(common).await,
                Command::Crash(crash) => crash.run(common).await,
                Command::Load(load) => load.run(common).await,
                Command::Fault(fault) => fault.run(common).await,
                Command::Events(events) => events.run(common).await,
                Command::Token(token) => token.run(common),

                Command::Scenario(_)
                | Command::Bundle(_)
                | Command::Simulate(_)
                | Command::Demo(_)
                | Command::Settings(_)
                | Command::Api(_) => Ok(output::OK),
            }
        }),
    }
}

/// The real world's runtime.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("crashcart")
        .build()
        .map_err(|error| Failure::failed(format!("no threads to run on: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Every command that does something, by its whole name, with its long help at 100 columns.
    fn leaves() -> Vec<(String, clap::Command)> {
        fn walk(name: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
            let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
            if inner.is_empty() {
                found.push((name.to_owned(), command.clone()));
            }
            inner.into_iter().for_each(|inner| walk(&format!("{name} {}", inner.get_name()), inner, found));
        }
        let mut found = Vec::new();
        let mut root = Cli::command().term_width(100);
        root.build();
        walk("crashcart", &root, &mut found);
        found
    }

    #[test]
    fn every_command_shows_an_example_that_can_be_typed() {
        let leaves = leaves();
        assert!(leaves.len() >= 16, "{}", leaves.len());
        for (name, mut command) in leaves {
            let help = command.render_long_help().to_string();
            let (_, examples) = help.split_once("Example:").unwrap_or_else(|| panic!("`{name}` has no example"));
            let typed: Vec<&str> = examples.lines().map(str::trim).filter(|line| line.starts_with("crashcart ")).collect();
            assert!(typed.iter().any(|line| line.starts_with(&name)), "no example of `{name}` begins with it: {examples}");
            for line in typed {
                // What follows two spaces or a pipe says what it is for.
                let words = line.split("  ").next().unwrap_or(line).split(" |").next().unwrap_or(line);
                let parsed = Cli::try_parse_from(words.split_whitespace());
                assert!(parsed.is_ok(), "`{words}` cannot be typed: {:?}", parsed.err().map(|error| error.to_string()));
            }
        }
    }

    #[test]
    fn every_command_in_the_documents_can_be_typed() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut pages = vec![root.join("README.md"), root.join("docs/errors.md")];
        pages.extend(std::fs::read_dir(root.join("docs/runbooks")).unwrap().flatten().map(|entry| entry.path()));
        assert!(pages.len() >= 9, "the runbooks are there");
        let mut typed = 0;
        for page in pages {
            let text = std::fs::read_to_string(&page).unwrap();
            for span in text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("crashcart ") && !span.contains('\n')) {
                let words = span.split(" >").next().unwrap_or(span).split(" |").next().unwrap_or(span);
                // A command is named without what it needs.
                if words.split_whitespace().count() <= 3 && !words.contains("--") {
                    assert!(
                        leaves().iter().any(|(name, _)| words.starts_with(name.as_str()) || name.starts_with(words)),
                        "{words} in {page:?}"
                    );
                    continue;
                }
                let parsed = Cli::try_parse_from(words.split_whitespace());
                assert!(parsed.is_ok(), "{}: `{words}` cannot be typed: {:?}", page.display(), parsed.err().map(|error| error.to_string()));
                typed += 1;
            }
        }
        assert!(typed >= 5, "{typed}");
    }

    #[test]
    fn every_help_fits_into_a_hundred_columns_and_explains_each_option() {
        for (name, mut command) in leaves() {
            let help = command.render_long_help().to_string();
            let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 100).collect();
            assert!(wide.is_empty(), "`{name} --help` is wider than 100 columns: {wide:#?}");
            assert!(help.contains("--json"), "`{name}` speaks JSON");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "`{name}`: {} is not explained", argument.get_id());
            }
        }
    }
}
