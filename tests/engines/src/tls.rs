//! TLS as the tests meet it: the authority and the certificate that `cargo xtask engines up` puts beside its settings, and a front that speaks TLS
//! for an engine that is reached by HTTP and does not speak it itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// An authority that no machine knows, and what a server shows that it has signed: for `localhost` and 127.0.0.1.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// # Panics
/// When there are none: a test has failed.
#[must_use]
pub fn files() -> TlsFiles {
    let settings = crate::file();
    let at = |name: &str| {
        let path = settings.with_file_name(name);
        assert!(path.exists(), "{} is missing: `cargo xtask engines up` makes it", path.display());
        path
    };
    TlsFiles { ca: at("tls-ca.pem"), certificate: at("tls-server.pem"), key: at("tls-server.key") }
}

/// An authority that has signed nothing, in a folder.
///
/// # Panics
/// When OpenSSL's program does not make it: a test has failed.
pub fn make_authority(folder: &Path, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj"]);
    let made = openssl.args(["/CN=nobody", "-keyout", "nobody.key", "-out", name]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Takes TLS and hands on what is in it. Ends with the test.
#[derive(Debug)]
pub struct Front {
    url: String,
    task: AbortHandle,
}

impl Front {
    /// Before an engine at an address of `http://`.
    ///
    /// # Panics
    /// When it cannot be made: a test has failed.
    #[expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "for tests, which have no world")]
    pub async fn before(url: &str) -> Self {
        let engine = reqwest::Url::parse(url).unwrap();
        let address = (engine.host_str().unwrap().to_owned(), engine.port_or_known_default().unwrap());
        let files = files();
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let url = url.replace("http://", "https://").replace(&format!("{}:{}", address.0, address.1), &here.to_string());
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, address) = (acceptor.clone(), address.clone());
                tokio::spawn(async move {
                    // Whoever does not trust the certificate goes, and sees to it himself.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut engine) = TcpStream::connect(address).await else { return };
                    drop(copy_bidirectional(&mut client, &mut engine).await);
                });
            }
        };
        Self { url, task: tokio::spawn(accept).abort_handle() }
    }

    /// The engine's address, through here.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
