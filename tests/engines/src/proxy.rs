//! A way to an engine that a test can make silent or close, as a network does.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    Hold,
    Mute,
    Refuse,
}

/// Forwards to an engine until it is told otherwise. Ends with the test.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    mode: watch::Sender<Mode>,
    /// How many answers still get through to a client before the proxy is mute.
    spared: Arc<AtomicU32>,
    /// The connections that are open.
    open: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Proxy {
    /// # Panics
    /// When the address has no host and port, or none can be listened to here: a test has failed.
    #[expect(clippy::panic, clippy::disallowed_methods, reason = "for tests, which have no world")]
    pub async fn to(url: &str) -> Self {
        let told = |what: &dyn std::fmt::Display| -> ! { panic!("the proxy: {what}") };
        let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let engine = authority.and_then(|rest| rest.rsplit('@').next()).unwrap_or_else(|| told(&"the address has no host")).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| told(&error));
        let here = listener.local_addr().unwrap_or_else(|error| told(&error));
        let (mode, modes) = watch::channel(Mode::Forward);
        let open = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let spared = Arc::<AtomicU32>::default();
        let count = spared.clone();
        let proxy = Self { url: url.replace(&engine, &here.to_string()), mode, spared, open: open.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *modes.borrow() == Mode::Refuse {
                    continue;
                }
                let (engine, modes, spared) = (engine.clone(), modes.clone(), count.clone());
                let pair = tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(engine).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                    tokio::select! {
                        () = carry(from_client, to_server, modes.clone(), None) => {}
                        () = carry(from_server, to_client, modes, Some(spared)) => {}
                    }
                });
                open.lock().unwrap_or_else(PoisonError::into_inner).push(pair.abort_handle());
            }
        });
        proxy
    }

    /// The engine's address, through here.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn forward(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// Nothing gets through, and nobody is told.
    pub fn hold(&self) {
        self.mode.send_replace(Mode::Hold);
    }

    /// The engine hears everything; in place of its answers, but for so many first ones, the connection ends.
    pub fn mute_after(&self, answers: u32) {
        self.spared.store(answers, Ordering::SeqCst);
        self.mode.send_replace(Mode::Mute);
    }

    /// How many answers it would still let through.
    #[must_use]
    pub fn spared(&self) -> u32 {
        self.spared.load(Ordering::SeqCst)
    }

    /// Every connection is closed, and so is each new one.
    pub fn refuse(&self) {
        self.mode.send_replace(Mode::Refuse);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|pair| pair.abort());
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>, spared: Option<Arc<AtomicU32>>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else { return };
        if modes.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
            return;
        }
        if *modes.borrow() == Mode::Mute
            && let Some(spared) = &spared
            && spared.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
        {
            return;
        }
        let Some(read) = bytes.get(..length) else { return };
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}
