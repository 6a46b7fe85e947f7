use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn names(engines: &[&'static Engine]) -> Vec<&'static str> {
    engines.iter().map(|engine| engine.name).collect()
}

#[test]
fn every_engine_of_the_guide_is_in_the_table() {
    let guide = include_str!("../../../docs/guides/engines.md");
    let told: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    assert_eq!(told, names(ENGINES));
    for kind in ["postgresql", "mariadb", "mariadb-replica", "redis", "kafka", "cassandra", "couchdb", "minio", "schema-registry"] {
        assert!(names(ENGINES).contains(&kind), "{kind}");
    }
}

#[test]
fn an_engine_comes_after_the_one_that_it_stands_on() {
    for (index, engine) in ENGINES.iter().enumerate() {
        let before = names(&ENGINES[..index]);
        assert!(!before.contains(&engine.name), "{} stands there twice", engine.name);
        assert!(engine.after.is_none_or(|after| before.contains(&after)), "{}", engine.name);
        assert!(engine.ports > 0, "{}", engine.name);
    }
}

#[test]
fn the_settings_of_all_engines_are_a_document_that_can_be_read() {
    let folder = std::env::temp_dir().join(format!("crashcart-xtask-settings-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    let ground = Ground::open(&folder).unwrap();
    // Each seems to be up: the process is this one.
    for engine in ENGINES {
        let place = ground.place(engine.name, engine.ports, PathBuf::from("/bin/true")).unwrap();
        let record = Record { ready_millis: Some(1), ..Record::of(std::process::id(), &place).unwrap() };
        record.write(&place.folder).unwrap();
    }
    let text = settings(&ground);
    let document: toml::Table = toml::from_str(&text).unwrap();
    let engines = document["engines"].as_table().unwrap();
    for section in ["redis", "postgresql", "mariadb", "kafka", "schema_registry", "cassandra", "couchdb", "s3"] {
        let values = engines[section].as_table().unwrap();
        assert!(values.values().any(|value| value.as_str().unwrap().contains("127.0.0.1:")), "{section}: {values}");
    }
    assert!(engines["mariadb"].as_table().unwrap().contains_key("replica_url"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_replica_is_not_started_without_what_it_follows() {
    let (verb, _, wanted) = parse(&words("up --only mariadb-replica,redis")).unwrap();
    assert_eq!(verb, Verb::Up);
    assert_eq!(names(&wanted), ["redis", "mariadb", "mariadb-replica"]);
    let (_, _, wanted) = parse(&words("down --only=mariadb-replica")).unwrap();
    assert_eq!(names(&wanted), ["mariadb-replica"], "and stopped alone");
}

#[test]
fn a_slip_of_the_pen_is_told() {
    for line in ["", "sideways", "up --only", "up --colour red"] {
        assert_eq!(parse(&words(line)).err(), Some(USAGE.to_owned()), "{line}");
    }
    let refused = parse(&words("up --only redis,oracle")).err().unwrap();
    assert!(refused.starts_with("there is no engine oracle; there are redis, "), "{refused}");
}

/// An engine of the tests' own, which every machine has.
fn shell(command: fn(&Place) -> Result<Command, String>) -> Engine {
    Engine {
        name: "shell",
        source: Source::Debian { packages: &["dash"], program: "sh", folders: &[] },
        ports: 1,
        after: None,
        configure: |_| Ok(()),
        command,
        answers: |place| if place.file("here").exists() { Ok(()) } else { Err("not yet".to_owned()) },
        settle: nothing_more,
        settings: |_| Vec::new(),
        stop: "TERM",
    }
}

#[test]
fn an_engine_is_ready_once_it_answers_and_is_not_started_twice() {
    let folder = std::env::temp_dir().join(format!("crashcart-xtask-twice-{}", std::process::id()));
    let ground = Ground::open(&folder).unwrap();
    let engine = shell(|place| {
        let mut command = Command::new(&place.program);
        command.args(["-c", "sleep 0.2; touch here; exec sleep 60"]);
        Ok(command)
    });
    let line = start(&ground, &engine).unwrap();
    assert!(line.starts_with("is ready after "), "{line}");
    let record = ground.record("shell").unwrap();
    assert!(record.ready_millis.is_some_and(|millis| millis >= 200), "{record:?}");
    assert!(start(&ground, &engine).unwrap().starts_with("is up already"));
    assert_eq!(ground.record("shell"), Some(record.clone()));
    assert!(record.stop("TERM"));
    // One that has ended in between is started anew, over nothing.
    assert!(start(&ground, &engine).unwrap().starts_with("is ready after "));
    assert!(ground.record("shell").unwrap().stop("TERM"));
    ground.clear("shell").unwrap();
    assert!(!folder.exists());
}

#[test]
fn an_engine_that_crashes_comes_back_at_its_port_over_what_it_has_kept() {
    let folder = std::env::temp_dir().join(format!("crashcart-xtask-crash-{}", std::process::id()));
    let ground = Ground::open(&folder).unwrap();
    let engine = shell(|place| {
        let mut command = Command::new(&place.program);
        command.args(["-c", "trap '' TERM; echo life >> lives; touch here; while :; do sleep 1; done"]);
        Ok(command)
    });
    assert_eq!(crash_one(&ground, &engine).unwrap_err(), "is not up");
    start(&ground, &engine).unwrap();
    let first = ground.record("shell").unwrap();
    let line = crash_one(&ground, &engine).unwrap();
    assert!(line.starts_with("was killed, and answers again after "), "{line}");
    let second = ground.record("shell").unwrap();
    assert!(!first.alive() && second.alive());
    assert_eq!(second.ports, first.ports);
    // What the first life has put there answers for the second at once, which may still be on its way.
    let lives = || std::fs::read_to_string(ground.place_of("shell", &second).file("lives")).unwrap();
    for _ in 0..1_000 {
        if lives() != "life\n" {
            break;
        }
        place::pause(Duration::from_millis(10));
    }
    assert_eq!(lives(), "life\nlife\n");
    assert!(second.kill());
    ground.clear("shell").unwrap();
}

#[test]
fn an_engine_that_ends_by_itself_is_told() {
    let folder = std::env::temp_dir().join(format!("crashcart-xtask-ends-{}", std::process::id()));
    let ground = Ground::open(&folder).unwrap();
    let engine = shell(|place| {
        let mut command = Command::new(&place.program);
        command.args(["-c", "sleep 0.1; echo there is no room; exit 3"]);
        Ok(command)
    });
    let sentence = start(&ground, &engine).unwrap_err();
    assert_eq!(sentence, "it ended by itself (exit status: 3)");
    assert_eq!(ground.place_of("shell", &ground.record("shell").unwrap()).last_words(), "there is no room");
    assert!(settings(&ground).lines().all(|line| line.starts_with('#')), "nothing that does not run is in the settings");
    ground.clear("shell").unwrap();
}

#[test]
fn nothing_is_up_where_nothing_was_started() {
    let folder = std::env::temp_dir().join(format!("crashcart-xtask-nothing-{}", std::process::id()));
    assert_eq!(down(&folder, ENGINES), Ok(true));
    assert_eq!(status(&folder, ENGINES), Ok(true));
    assert!(!folder.exists());
}
