//! How an engine is asked whether it is there: the first words of its own protocol, so that an open port is not taken for a server that works.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(20);

fn connect(port: u16) -> Result<TcpStream, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, CONNECT).map_err(|error| format!("{address}: {error}"))?;
    stream.set_read_timeout(Some(ANSWER)).and_then(|()| stream.set_write_timeout(Some(ANSWER))).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Sends some bytes and takes as many back as the answer has at least.
pub fn bytes(port: u16, question: &[u8], at_least: usize) -> Result<Vec<u8>, String> {
    let mut stream = connect(port)?;
    let mut answer = vec![0; at_least];
    stream.write_all(question).and_then(|()| stream.read_exact(&mut answer)).map_err(|error| format!("port {port}: {error}"))?;
    Ok(answer)
}

/// One request over HTTP; the body if the answer is 2xx.
pub fn http(port: u16, method: &str, path: &str, body: &str) -> Result<String, String> {
    let mut stream = connect(port)?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\naccept: application/json\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer)).map_err(|error| format!("port {port}: {error}"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    } else {
        Err(format!("{method} {path} is answered: {}", answer.lines().next().unwrap_or_default()))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a server of the test's own stands on a thread")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn server(answer: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 512];
            drop(stream.read(&mut question));
            drop(stream.write_all(answer.as_bytes()));
        });
        port
    }

    #[test]
    fn an_open_port_is_no_answer() {
        assert!(http(server(""), "GET", "/", "").is_err());
        assert!(http(server("HTTP/1.1 503 not yet\r\n\r\n"), "GET", "/", "").is_err());
        assert_eq!(http(server("HTTP/1.1 200 OK\r\n\r\n[]"), "GET", "/", ""), Ok("[]".to_owned()));
        assert!(bytes(server("+"), b"PING\r\n", 7).is_err(), "too short");
    }
}
