//! A Redis server of a test's own, to be killed, held and started again in the same place.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use platform::{Clock, settings::RedisSettings};
use tempfile::TempDir;

use crate::tls::{self, TlsFiles};

/// The server; it ends with this value.
pub struct Server {
    child: Child,
    port: u16,
    tls: Option<TlsFiles>,
    folder: TempDir,
}

impl Server {
    /// On a free port of the loopback; with the password `sesame`.
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// The same behind TLS, with an authority that no machine knows.
    pub async fn start_tls() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls = tls.then(tls::files);
        let child = run(port, tls.as_ref(), &folder);
        let mut server = Self { child, port, tls, folder };
        server.wait().await;
        server
    }

    #[must_use]
    pub fn settings(&self, timeout_ms: u64) -> RedisSettings {
        let (scheme, ca_file) = match &self.tls {
            Some(files) => ("rediss", files.ca.display().to_string()),
            None => ("redis", String::new()),
        };
        let url = platform::auth::Secret::new(format!("{scheme}://default:sesame@localhost:{}/0", self.port)).unwrap();
        RedisSettings { url: Some(url), ca_file, timeout_ms, prefix: "test:".into() }
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, empty, in the same place.
    pub async fn restart(&mut self) {
        self.child = run(self.port, self.tls.as_ref(), &self.folder);
        self.wait().await;
    }

    /// Says something to the server on a connection of its own, and hears the first line of the answer. Not behind TLS.
    #[must_use]
    pub fn say(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(format!("AUTH sesame\r\n{line}\r\n").as_bytes()).unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        while said.iter().filter(|byte| **byte == b'\n').count() < 2 && stream.read(&mut byte).unwrap_or(0) == 1 {
            said.push(byte[0]);
        }
        String::from_utf8_lossy(&said).lines().nth(1).unwrap_or_default().to_owned()
    }

    async fn wait(&mut self) {
        let began = Clock::real().now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "redis-server ended by itself");
            assert!(Clock::real().now().since(began) < Duration::from_secs(20), "redis-server does not answer");
            Clock::real().sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(port: u16, tls: Option<&TlsFiles>, folder: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--requirepass", "sesame", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
    match tls {
        None => command.args(["--port", &port.to_string()]),
        Some(files) => command
            .args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-cert-file"])
            .arg(&files.certificate)
            .arg("--tls-key-file")
            .arg(&files.key)
            .arg("--tls-ca-cert-file")
            .arg(&files.ca),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    command.spawn().expect("redis-server is installed: `cargo xtask engines up --only redis` installs it")
}
