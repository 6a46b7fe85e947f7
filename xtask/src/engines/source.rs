//! Where an engine comes from on a machine that has no Docker: Debian's packages, Maven Central, the Go modules, npm. What is downloaded is
//! kept outside of the tree, once for all checkouts, under a name with its version; it is made beside that name and moved there when it is
//! whole, so a download that broke off is not taken for one. Where something cannot be had, one sentence says what is missing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{engines::place::own_id, report};

pub enum Source {
    /// A program of Debian's packages. Root installs them, everybody else is told to. The folders are those that are not in everybody's path.
    Debian { packages: &'static [&'static str], program: &'static str, folders: &'static [&'static str] },
    /// Libraries of Maven Central with all that they need to run, as a folder `lib`. An archive (`group:name:version:tar.gz:classifier`) is unpacked.
    Maven { folder: &'static str, artifacts: &'static [&'static str] },
    /// A program that is built from a Go module.
    Go { folder: &'static str, package: &'static str, version: &'static str, program: &'static str, at_least: (u32, u32) },
    /// A package of npm as it was on a day, with all that it needs.
    Npm { folder: &'static str, package: &'static str, before: &'static str },
}

impl Source {
    /// The program, or the folder that it is in; fetched, made or installed if it is not there.
    pub fn obtain(&self) -> Result<PathBuf, String> {
        match self {
            Self::Debian { packages, program, folders } => debian(packages, program, folders),
            Self::Maven { folder, artifacts } => {
                java()?;
                cached(&cache()?, folder, |making| maven(making, artifacts))
            }
            Self::Go { folder, package, version, program, at_least } => {
                let made = cached(&cache()?, folder, |making| go(making, package, version, *at_least))?;
                Ok(made.join(program))
            }
            Self::Npm { folder, package, before } => {
                tool("node", "nodejs")?;
                cached(&cache()?, folder, |making| npm(making, package, before))
            }
        }
    }
}

/// The folder of that name in the cache; made first if it is not there.
fn cached(cache: &Path, name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = cache.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    let making = cache.join(format!("{name}.{}", std::process::id()));
    let failed = |error: std::io::Error| format!("{}: {error}", making.display());
    fs::create_dir_all(&making).map_err(failed)?;
    report(&format!("{name}: is fetched, once, into {}", folder.display()));
    match make(&making) {
        Ok(()) => fs::rename(&making, &folder).map_err(failed)?,
        Err(reason) => {
            drop(fs::remove_dir_all(&making));
            return Err(reason);
        }
    }
    Ok(folder)
}

#[expect(clippy::disallowed_methods, reason = "a tool may ask where the user's cache is")]
fn cache() -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base.ok_or("HOME is not set, so there is no folder for downloads")?.join("crashcart").join("engines"))
}

fn debian(packages: &[&str], program: &str, folders: &[&str]) -> Result<PathBuf, String> {
    if let Some(found) = find(program, folders) {
        return Ok(found);
    }
    install(packages)?;
    find(program, folders).ok_or_else(|| format!("{} brought no {program}", packages.join(" and ")))
}

/// A tool that stands in the path, from Debian's package if it does not.
pub fn tool(program: &str, package: &str) -> Result<PathBuf, String> {
    debian(&[package], program, &[])
}

/// Java 17: Cassandra 5.0 takes nothing newer, Kafka 4.1 nothing older. A machine may have others, so it is asked.
pub fn java() -> Result<PathBuf, String> {
    let folders = ["/usr/lib/jvm/java-17-openjdk-*/bin", "/usr/lib/jvm/*17*/bin"];
    let found = || find("java", &folders).filter(|java| is_17(java));
    if found().is_none() {
        install(&["openjdk-17-jre-headless"])?;
    }
    found().ok_or_else(|| "Java 17 is missing".to_owned())
}

fn is_17(java: &Path) -> bool {
    let told = Command::new(java).arg("-version").output();
    told.is_ok_and(|told| String::from_utf8_lossy(&told.stderr).contains("version \"17"))
}

/// In the folders named (the last that fits a `*`, so the newest version), then in the path.
fn find(program: &str, folders: &[&str]) -> Option<PathBuf> {
    let named = folders
        .iter()
        .find_map(|pattern| matching(pattern).into_iter().rev().map(|folder| folder.join(program)).find(|path| path.exists()));
    named.or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let always = ["/usr/sbin", "/usr/local/sbin", "/usr/local/go/bin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(always).map(|folder| folder.join(program)).find(|path| path.is_file())
    })
}

/// Folders that fit a pattern with one `*` in one of its parts, sorted; numbers by their worth.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut pieces = part.splitn(2, '*');
        let (before, after) = (pieces.next().unwrap_or_default(), pieces.next());
        found = match after {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some(after) => found
                .iter()
                .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
                .filter(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    name.len() >= part.len() - 1 && name.starts_with(before) && name.split_at(before.len()).1.contains(after)
                })
                .map(|entry| entry.path())
                .collect(),
        };
    }
    found.retain(|folder| folder.is_dir());
    found.sort_by_key(|folder| {
        let number = folder.components().filter_map(|part| part.as_os_str().to_str()?.parse::<u32>().ok()).next();
        (number, folder.clone())
    });
    found
}

/// Installs packages without letting them start the services that come with them: those would stand on the usual ports, and stay.
fn install(packages: &[&str]) -> Result<(), String> {
    let names = packages.join(" ");
    if own_id() != 0 || !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("{names} is missing: `sudo apt-get install {names}`"));
    }
    report(&format!("{names}: is installed from Debian's packages"));
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        // It forbids nothing any more once this process has ended, however it ended.
        let text =
            format!("#!/bin/sh\n# `cargo xtask engines up` installs packages\ntest -d /proc/{} && exit 101\nexit 0\n", std::process::id());
        fs::write(policy, text).map_err(|error| format!("{}: {error}", policy.display()))?;
        fs::set_permissions(policy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(|error| error.to_string())?;
    }
    let get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]).args(args);
        run(&mut command, &format!("apt-get could not install {names}"))
    };
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(packages);
    // The lists of a fresh machine are empty or old.
    let done = get(&install).or_else(|_| get(&["update"]).and_then(|()| get(&install)));
    if ours {
        drop(fs::remove_file(policy));
    }
    done
}

fn maven(making: &Path, artifacts: &[&str]) -> Result<(), String> {
    let mvn = tool("mvn", "maven")?;
    let dependencies: String = artifacts.iter().map(|artifact| dependency(artifact)).collect();
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>crashcart</groupId><artifactId>engine</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>"
    );
    fs::write(making.join("pom.xml"), pom).map_err(|error| error.to_string())?;
    let mut command = nice(&mvn);
    command.current_dir(making).args(["-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", making.join("lib").display()));
    run(&mut command, &format!("Maven could not fetch {}", artifacts.join(" and ")))?;
    let archives: Vec<PathBuf> = fs::read_dir(making.join("lib"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .collect();
    for archive in archives {
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(making), &format!("{} could not be unpacked", archive.display()))?;
        fs::remove_file(&archive).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn dependency(artifact: &str) -> String {
    let parts: Vec<&str> = artifact.split(':').collect();
    let tag = |name: &str, index: usize| parts.get(index).map(|value| format!("<{name}>{value}</{name}>")).unwrap_or_default();
    // An archive holds what it needs.
    let alone =
        if parts.len() > 3 { "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>" } else { "" };
    let known = [tag("groupId", 0), tag("artifactId", 1), tag("version", 2), tag("type", 3), tag("classifier", 4)].concat();
    format!("<dependency>{known}{alone}</dependency>")
}

fn go(making: &Path, package: &str, version: &str, at_least: (u32, u32)) -> Result<(), String> {
    let (major, minor) = at_least;
    let go = find("go", &[]).ok_or_else(|| format!("Go {major}.{minor} or newer is missing, which builds {package}"))?;
    let found = Command::new(&go).args(["env", "GOVERSION"]).output().map_err(|error| format!("{}: {error}", go.display()))?;
    let found = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let mut numbers = found.trim_start_matches("go").split('.').map_while(|number| number.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(major), Some(minor)) {
        return Err(format!("Go {major}.{minor} or newer is missing, which builds {package} ({} is {found})", go.display()));
    }
    let mut command = nice(&go);
    command.env("GOBIN", making).env("CGO_ENABLED", "0").args(["install", "-trimpath", "-ldflags=-s -w", &format!("{package}@{version}")]);
    run(&mut command, &format!("Go could not build {package}"))
}

fn npm(making: &Path, package: &str, before: &str) -> Result<(), String> {
    let npm = tool("npm", "npm")?;
    fs::write(making.join("package.json"), "{\"private\": true}\n").map_err(|error| error.to_string())?;
    let mut command = nice(&npm);
    // Scripts of packages are not run: what is compiled comes with them.
    command.current_dir(making).args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    command.args([&format!("--before={before}"), package]);
    run(&mut command, &format!("npm could not fetch {package}"))
}

/// Others work on this machine too.
fn nice(program: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "5"]).arg(program);
    command
}

/// Runs to the end; if it fails, the sentence and what it said of that.
pub fn run(command: &mut Command, sentence: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{sentence}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{sentence}: {}", reason(&String::from_utf8_lossy(&said))))
}

/// The first lines that speak of an error, for Maven says at length afterwards what one may read; the last ones if there is none.
fn reason(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| line.len() > "[ERROR]".len()).collect();
    let of_error = |line: &&&str| ["error", "err!", "fatal"].iter().any(|word| line.to_lowercase().contains(word));
    let told: Vec<&str> = lines.iter().filter(of_error).take(2).copied().collect();
    if told.is_empty() { lines[lines.len().saturating_sub(2)..].join(" / ") } else { told.join(" / ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_fetched_leaves_nothing_behind() {
        let cache = std::env::temp_dir().join(format!("crashcart-xtask-cache-{}", std::process::id()));
        let refused = cached(&cache, "engine-1", |making| {
            fs::write(making.join("half"), "a half").unwrap();
            Err("the line is dead".to_owned())
        });
        assert_eq!(refused, Err("the line is dead".to_owned()));
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
        let whole = cached(&cache, "engine-1", |making| fs::write(making.join("whole"), "").map_err(|error| error.to_string())).unwrap();
        assert!(whole.join("whole").exists());
        assert_eq!(cached(&cache, "engine-1", |_| Err("it is fetched once".to_owned())), Ok(whole));
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn what_is_missing_is_one_sentence() {
        let sentence = go(Path::new("/"), "example.com/server", "v1", (99, 0)).unwrap_err();
        assert!(
            sentence.starts_with("Go 99.0 or newer is missing, which builds example.com/server") && !sentence.contains('\n'),
            "{sentence}"
        );
    }

    #[test]
    fn an_archive_comes_without_what_it_needs_and_a_library_with_it() {
        assert!(dependency("g:a:1:tar.gz:all").contains("<type>tar.gz</type><classifier>all</classifier><exclusions>"));
        assert!(!dependency("g:a:1").contains("exclusion"));
    }

    #[test]
    fn of_many_lines_the_one_that_tells_is_shown() {
        assert_eq!(reason("[INFO] one\n[ERROR] two\n[ERROR] \n[INFO] three\n"), "[ERROR] two");
        assert_eq!(reason("one\nseparately two\nseparately three\n"), "separately two / separately three");
        assert_eq!(reason(""), "");
    }

    #[test]
    fn of_two_versions_the_newer_is_found() {
        let folder = std::env::temp_dir().join(format!("crashcart-xtask-versions-{}", std::process::id()));
        for version in ["9", "15"] {
            fs::create_dir_all(folder.join(version).join("bin")).unwrap();
            fs::write(folder.join(version).join("bin/server"), "").unwrap();
        }
        let pattern = format!("{}/*/bin", folder.display());
        assert_eq!(find("server", &[&pattern]), Some(folder.join("15/bin/server")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
