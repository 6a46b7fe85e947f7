//! What servers show to clients that ask for TLS: an authority of this folder's own, which no machine knows, and a certificate for the loopback that
//! it has signed. Made by OpenSSL's program. Whoever wants to trust it finds the authority beside the settings.

use std::{path::Path, process::Command};

use super::{
    place::{Place, write},
    source::run,
};

/// The files in the folder of the engines.
pub const FILES: [&str; 3] = [AUTHORITY, CERTIFICATE, KEY];
const AUTHORITY: &str = "tls-ca.pem";
const CERTIFICATE: &str = "tls-server.pem";
const KEY: &str = "tls-server.key";

const EXTENSIONS: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
/// Longer than anybody keeps engines up whose data is thrown away.
const DAYS: &str = "30";

/// Makes them, unless they are there.
pub fn prepare(folder: &Path) -> Result<(), String> {
    if folder.join(CERTIFICATE).exists() {
        return Ok(());
    }
    let work = folder.join("tls-work");
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let made = make(&work).and_then(|()| {
        FILES.iter().try_for_each(|name| {
            let text = std::fs::read_to_string(work.join(name)).map_err(|error| format!("{name}: {error}"))?;
            write(&folder.join(name), &text)
        })
    });
    drop(std::fs::remove_dir_all(&work));
    made
}

fn make(work: &Path) -> Result<(), String> {
    write(&work.join("extensions"), EXTENSIONS)?;
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(work).args(args), "OpenSSL made no certificate");
    openssl(
        &[&["req", "-x509", "-days", DAYS, "-subj", "/CN=crashcart engines", "-keyout", "ca.key", "-out", AUTHORITY], &key[..]].concat(),
    )?;
    openssl(&[&["req", "-subj", "/CN=localhost", "-keyout", KEY, "-out", "request"], &key[..]].concat())?;
    let sign = ["x509", "-req", "-in", "request", "-CA", AUTHORITY, "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS];
    openssl(&[&sign[..], &["-extfile", "extensions", "-out", CERTIFICATE]].concat())
}

/// A server's own copy, in the hands of the user as which it runs: certificate and key.
pub fn copy(place: &Place, user: &str) -> Result<[std::path::PathBuf; 2], String> {
    let folder = place.folder.parent().unwrap_or(Path::new("/"));
    let copy = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let path = place.write(name, &text)?;
        place.give(&path, user)?;
        Ok::<_, String>(path)
    };
    Ok([copy(CERTIFICATE)?, copy(KEY)?])
}

/// A server's own copy in one file, key and certificate, as a Java server reads them.
pub fn both(place: &Place) -> Result<std::path::PathBuf, String> {
    let folder = place.folder.parent().unwrap_or(Path::new("/"));
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    place.write("tls.pem", &(text(KEY)? + &text(CERTIFICATE)?))
}
