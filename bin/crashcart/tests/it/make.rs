//! The short names of the Makefile: each is listed, explained and can be made; `up` and `seed` are really made.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use crate::process::{interrupt, run};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn make(args: &[&str]) -> Command {
    let mut command = Command::new("make");
    // A test may be run by `make` itself, whose options are not these.
    command.current_dir(root()).env_remove("MAKEFLAGS").env_remove("MAKELEVEL").arg("--no-print-directory").args(args);
    command
}

fn text(args: &[&str]) -> String {
    let output = make(args).output().unwrap();
    assert!(output.status.success(), "make {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is declared as phony: everything that the Makefile does.
fn targets() -> BTreeSet<String> {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let line = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).unwrap().to_owned();
    line.split_whitespace().filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn make_lists_every_target_with_what_it_does() {
    let help = text(&["help"]);
    assert_eq!(text(&[]), help, "`make` alone is `make help`");
    let listed: BTreeSet<String> = help.lines().filter_map(|line| line.split_once("  ")).map(|(name, _)| name.trim().to_owned()).collect();
    assert_eq!(listed, targets());
    assert!(help.lines().all(|line| line.len() <= 100 && line.len() > 20), "{help}");
}

#[test]
fn every_target_can_be_made() {
    let (_, commands, _) = run(&["--help"]);
    for target in targets() {
        let steps = text(&["-n", &target]);
        assert!(!steps.trim().is_empty(), "`make {target}` does nothing");
        for step in steps.lines() {
            let words: Vec<&str> = step.split_whitespace().collect();
            match words.as_slice() {
                ["cargo", "run", rest @ ..] => {
                    let command = rest.iter().skip_while(|word| **word != "--").nth(1).unwrap();
                    assert!(commands.contains(&format!("  {command} ")), "`make {target}` runs `{command}`, which is no command");
                }
                [file, ..] if file.starts_with('.') => {
                    assert!(root().join(file).exists(), "`make {target}` runs {file}, which is not there")
                }
                _ => {}
            }
        }
    }
}

#[test]
fn make_up_and_make_seed_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("shop").display().to_string();
    let program = format!("CRASHCART={}", env!("CARGO_BIN_EXE_crashcart"));
    let args = format!("ARGS=--data {data} --port 0 --json");
    // In a group of its own: Ctrl-C in a terminal reaches everybody in it.
    let mut up = make(&["--silent", "up", &program, &args]).process_group(0).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(up.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"gateway\""), "{line}");
    let seeded = text(&["--silent", "seed", &program, &format!("ARGS=--data {data} --scale 0.02 --json")]);
    let manifest: serde_json::Value = serde_json::from_str(&seeded).unwrap();
    assert!(
        manifest["kinds"].as_array().unwrap().iter().any(|kind| kind["created"].as_u64().is_some_and(|created| created > 0)),
        "{seeded}"
    );
    interrupt(&format!("-{}", up.id()));
    up.wait().unwrap();
    let (code, out, error) = run(&["verify", "--data", &data]);
    assert_eq!(code, 0, "it has stopped, and what was seeded is sound: {error}{out}");
}
