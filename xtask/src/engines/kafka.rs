//! Kafka without ZooKeeper: one process that is broker and controller. There is no archive of it on Maven Central, only its libraries, so the
//! configuration is written here. One copy of everything, because there is one broker.

use std::{fmt::Write, process::Command};

use super::{
    Engine, ask, nothing_more,
    place::Place,
    source::{Source, java, run},
    tls,
};

/// The file in its folder that says where it speaks TLS: clients have one address for all brokers, so it cannot stand beside the other.
const TLS_ADDRESS: &str = "tls-address";

pub const ENGINE: Engine = Engine {
    name: "kafka",
    source: Source::Maven {
        folder: "kafka-4.1.1",
        // The second is what carries its log lines; the first does not ask for it.
        artifacts: &["org.apache.kafka:kafka_2.13:4.1.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"],
    },
    ports: 3,
    after: None,
    configure,
    command: |place| {
        let mut command = jvm(place, &["-Xms128m", "-Xmx512m"])?;
        command.arg("kafka.Kafka").arg(place.file("server.properties"));
        Ok(command)
    },
    answers,
    settle: nothing_more,
    settings: |place| vec![("kafka.bootstrap_servers", format!("127.0.0.1:{}", place.port()))],
    stop: "TERM",
};

fn configure(place: &Place) -> Result<(), String> {
    let [broker, controller, secure] = place.ports.as_slice() else { return Err("three ports are needed".to_owned()) };
    let [broker, controller, secure] = [broker, controller, secure].map(|port| format!("127.0.0.1:{port}"));
    let data = place.file("data");
    let pem = tls::both(place)?;
    place.write(TLS_ADDRESS, &secure)?;
    let mut text = String::new();
    for (key, value) in [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.bootstrap.servers", &controller),
        ("listeners", &format!("BROKER://{broker},SECURE://{secure},CONTROLLER://{controller}")),
        ("advertised.listeners", &format!("BROKER://{broker},SECURE://{secure},CONTROLLER://{controller}")),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "BROKER"),
        ("listener.security.protocol.map", "BROKER:PLAINTEXT,SECURE:SSL,CONTROLLER:PLAINTEXT"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &pem.display().to_string()),
        ("log.dirs", &data.display().to_string()),
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "4"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        // A test that joins a group waits for nobody else.
        ("group.initial.rebalance.delay.ms", "0"),
        // A slip in a topic's name is told, not made.
        ("auto.create.topics.enable", "false"),
    ] {
        writeln!(text, "{key}={value}").map_err(|error| error.to_string())?;
    }
    let properties = place.write("server.properties", &text)?;
    place.write(
        "log4j2.properties",
        "rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\nappender.out.type = Console\nappender.out.name = out\n\
         appender.out.layout.type = PatternLayout\nappender.out.layout.pattern = %d %p %c{1} %m%n\n",
    )?;
    let mut format = jvm(place, &["-Xmx128m", "-XX:TieredStopAtLevel=1"])?;
    format.args(["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "Y3Jhc2hjYXJ0LWVuZ2luZQ", "--config"]);
    run(format.arg(properties), "Kafka's folder could not be formatted")
}

fn jvm(place: &Place, options: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(java()?);
    command.args(options).arg(format!("-Dlog4j2.configurationFile={}", place.file("log4j2.properties").display()));
    command.arg(format!("-Djava.io.tmpdir={}", place.folder.display()));
    command.arg("-cp").arg(format!("{}/lib/*", place.program.display()));
    Ok(command)
}

/// Asks which requests it knows: `ApiVersions`, which it answers once the broker is let in by the controller.
fn answers(place: &Place) -> Result<(), String> {
    // Length, request 18 in version 0, a number to know the answer by, nobody's name.
    let question = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    // Length, the same number, no error.
    let answer = ask::bytes(place.port(), &question, 10)?;
    if answer[4..] == [0, 0, 0, 7, 0, 0] { Ok(()) } else { Err(format!("it answers {answer:?}")) }
}
