//! A runtime beside one that has a single thread, such as a simulated world's: its thread waits here for the engine, while the engine's answers
//! arrive over there. To the world no time passes and nothing else happens meanwhile, as with work on SQLite, so the tests of a service
//! can be played on the engine as they are.
//!
//! Whoever asks for the time is told that of the runtime in which he is polled. So the engine's sockets and limits are polled over there, and
//! the service's work at home: it would see the machine's time in place of the world's.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::clock::Clock;

/// How whoever speaks HTTP, or a driver's own protocol, to a server waits for it: in a simulated world on the world's thread, elsewhere as everything is
/// waited for.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Beside>);

impl Waiting {
    /// In the world that goes by this clock.
    pub(crate) fn by(world: Clock) -> Self {
        Self(world.is_simulated().then(Beside::default))
    }

    pub(crate) const fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) async fn until<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(beside) => beside.wait(work),
            None => work.await,
        }
    }

    /// In a simulated world others go on before a request and before its answer is heard, as around the embedded stores: a simulated crash
    /// comes between.
    pub(crate) async fn let_others(&self) {
        if self.is_simulated() {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Beside {
    runtime: Mutex<Option<Runtime>>,
    /// The runtime whose one thread waits here just now.
    home: Mutex<Option<Handle>>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Beside {
    /// Runs work to its end on this thread, with sockets and timers of the other runtime. Work that yields would wait for this thread.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Handle::try_current().ok();
        let runtime = self.runtime();
        let _entered = runtime.as_ref().map(Handle::enter);
        // Not for its turn to be over: nobody would give it another one.
        let mut work = pin!(tokio::task::unconstrained(work));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match work.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => {
                    *self.home.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return answer;
                }
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Whether whoever asks is waited for by a thread that can do nothing else meanwhile.
    pub(crate) fn waits(&self) -> bool {
        self.home().is_some()
    }

    /// Work of the service's own, in the time of its world.
    pub(crate) async fn at_home<T>(&self, work: impl Future<Output = T>) -> T {
        polled_in(self.home(), work).await
    }

    /// Work on a connection, in the midst of what is at home.
    pub(crate) async fn over_there<T>(&self, work: impl Future<Output = T>) -> T {
        let there = if self.waits() { self.runtime() } else { None };
        polled_in(there, work).await
    }

    fn home(&self) -> Option<Handle> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs work over there.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, sqlx::Error> {
        let runtime = self.runtime().ok_or(sqlx::Error::WorkerCrashed)?;
        runtime.spawn(work).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    fn runtime(&self) -> Option<Handle> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_none() {
            *runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().ok();
        }
        runtime.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Beside {
    /// Without waiting, which a world's thread must not do.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

/// Polls work in this runtime; where there is none, it is in the right one.
async fn polled_in<T>(runtime: Option<Handle>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _entered = runtime.as_ref().map(Handle::enter);
        work.as_mut().poll(context)
    })
    .await
}
