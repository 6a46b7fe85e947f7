//! The program, run as a command and as a system.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::Value as Json;

pub fn crashcart() -> Command {
    Command::new(env!("CARGO_BIN_EXE_crashcart"))
}

/// Exit code, stdout, stderr.
pub fn run(args: &[&str]) -> (i32, String, String) {
    let output = crashcart().args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// What Ctrl-C sends to a process, or to a group of them (its number with a minus before).
pub fn interrupt(whom: &str) {
    assert!(Command::new("kill").args(["-INT", "--", whom]).status().unwrap().success());
}

/// A running system; stopped as Ctrl-C does.
pub struct Up {
    child: Child,
    pub data: String,
    told: Json,
}

impl Up {
    /// Starts one on free ports over this folder, and waits until it says where it is.
    pub fn start(data: &str) -> Self {
        Self::start_with(data, &[])
    }

    /// The same, with these variables in its environment.
    pub fn start_with(data: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = crashcart();
        command.args(["up", "--data", data, "--port", "0", "--json"]).envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            drop(child.wait());
            panic!("it did not start: {}", run(&["up", "--data", data, "--port", "0"]).2);
        }
        let told: Json = serde_json::from_str(&line).unwrap();
        for field in ["gateway", "admin", "adminToken", "services", "data"] {
            assert!(!told[field].is_null(), "`{field}` is missing in {told}");
        }
        Self { child, data: data.to_owned(), told }
    }

    pub fn gateway(&self) -> &str {
        self.told["gateway"].as_str().unwrap()
    }

    pub fn stop(mut self) -> i32 {
        interrupt(&self.child.id().to_string());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// The end of the process without a chance to do anything about it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A request of the gateway: status and body. A body makes it a POST of JSON.
    pub fn ask(&self, path: &str, body: Option<&Json>) -> (u16, Json) {
        let (method, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
        let (status, told) = exchange(self.gateway(), method, path, "", &body);
        (status, serde_json::from_str(&told).unwrap_or(Json::Null))
    }

    /// Every fact of a collection, from the admin listener.
    pub fn facts(&self, collection: &str) -> Vec<Json> {
        let token = format!("authorization: Bearer {}\r\n", self.told["adminToken"].as_str().unwrap());
        let (status, told) = exchange(self.told["admin"].as_str().unwrap(), "GET", &format!("/lab/audit/{collection}"), &token, "");
        assert_eq!(status, 200, "{told}");
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// One request over a connection of its own.
fn exchange(base: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let (length, kind) = (body.len(), if method == "POST" { "content-type: application/json\r\n" } else { "" });
    let head = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n{kind}{headers}content-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

impl Drop for Up {
    /// A test that fails leaves no system behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
