//! Cassandra 5, one node. Maven Central has its libraries alone: the configuration, and the doors of the JVM that it needs opened, are written
//! here. It starts without waiting for neighbours, because there are none.

use std::process::Command;

use super::{
    Engine, ask, nothing_more,
    place::Place,
    source::{Source, java},
};

pub const ENGINE: Engine = Engine {
    name: "cassandra",
    source: Source::Maven { folder: "cassandra-5.0.8", artifacts: &["org.apache.cassandra:cassandra-all:5.0.8"] },
    ports: 2,
    after: None,
    configure,
    command,
    answers,
    settle: nothing_more,
    settings: |place| {
        vec![("cassandra.contact_points", format!("127.0.0.1:{}", place.port())), ("cassandra.local_datacenter", "datacenter1".to_owned())]
    },
    stop: "TERM",
};

/// What Cassandra 5.0 reaches into on Java 17 while it starts and serves.
const EXPORTS: &[&str] = &[
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
];
const OPENS: &[&str] = &[
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
];

fn configure(place: &Place) -> Result<(), String> {
    let [clients, neighbours] = place.ports.as_slice() else { return Err("two ports are needed".to_owned()) };
    let folder = place.folder.display();
    // A batch of the commit log is synced before a write is answered: what was answered is on the disk. On a machine that
    // builds beside it, an answer is late and not lost: how long it is waited for, its clients say.
    let text = format!(
        "cluster_name: crashcart\nnum_tokens: 1\npartitioner: org.apache.cassandra.dht.Murmur3Partitioner\nendpoint_snitch: SimpleSnitch\n\
         listen_address: 127.0.0.1\nstorage_port: {neighbours}\nrpc_address: 127.0.0.1\nnative_transport_port: {clients}\n\
         seed_provider:\n- class_name: org.apache.cassandra.locator.SimpleSeedProvider\n  parameters:\n  - seeds: \"127.0.0.1:{neighbours}\"\n\
         data_file_directories:\n- \"{folder}/data\"\ncommitlog_directory: \"{folder}/commitlog\"\nsaved_caches_directory: \"{folder}/caches\"\n\
         hints_directory: \"{folder}/hints\"\ncdc_raw_directory: \"{folder}/cdc\"\ncommitlog_sync: batch\nauto_snapshot: false\n\
         memtable_heap_space: 128MiB\nmemtable_offheap_space: 128MiB\nfile_cache_size: 64MiB\nnetworking_cache_size: 16MiB\nkey_cache_size: 16MiB\n\
         concurrent_reads: 8\nconcurrent_writes: 8\nconcurrent_counter_writes: 4\n\
         read_request_timeout: 20s\nrange_request_timeout: 20s\nwrite_request_timeout: 20s\ncas_contention_timeout: 20s\nrequest_timeout: 20s\n"
    );
    place.write("cassandra.yaml", &text)?;
    place
        .write(
            "logback.xml",
            "<configuration><appender name=\"out\" class=\"ch.qos.logback.core.ConsoleAppender\"><encoder><pattern>%d %level %logger{0} \
             %msg%n</pattern></encoder></appender><root level=\"WARN\"><appender-ref ref=\"out\"/></root></configuration>\n",
        )
        .map(drop)
}

fn command(place: &Place) -> Result<Command, String> {
    let (folder, libraries) = (place.folder.display(), place.program.join("lib"));
    let mut command = Command::new(java()?);
    command.args(["-Xms256m", "-Xmx1g", "-Xss512k", "-XX:+UseG1GC", "-Djdk.attach.allowAttachSelf=true"]);
    command.args([
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dcassandra.ring_delay_ms=0",
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    ]);
    command.args([
        format!("-Dcassandra.config=file://{folder}/cassandra.yaml"),
        format!("-Dcassandra.storagedir={folder}"),
        format!("-Dlogback.configurationFile={folder}/logback.xml"),
        format!("-Djava.io.tmpdir={folder}"),
        format!("-Djna.tmpdir={folder}"),
    ]);
    command.args(EXPORTS.iter().map(|package| format!("--add-exports={package}=ALL-UNNAMED")));
    command.args(OPENS.iter().map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
    // Measures how large what it keeps in memory is.
    command.arg(format!("-javaagent:{}", libraries.join("jamm-0.4.0.jar").display()));
    command.arg("-cp").arg(format!("{}/*", libraries.display())).arg("org.apache.cassandra.service.CassandraDaemon");
    Ok(command)
}

/// Asks what it supports: a frame of the protocol's version 4 with the question `OPTIONS`; the answer is a `SUPPORTED`.
fn answers(place: &Place) -> Result<(), String> {
    let answer = ask::bytes(place.port(), &[4, 0, 0, 0, 5, 0, 0, 0, 0], 9)?;
    if answer[..5] == [0x84, 0, 0, 0, 6] { Ok(()) } else { Err(format!("it answers {answer:?}")) }
}
