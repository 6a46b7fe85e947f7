//! A runtime beside one that has a single thread, such as a simulated world's: its thread waits here for the engine, while the engine's answers
//! arrive over there. To the world no time passes and nothing else happens meanwhile, as with work on SQLite, so the tests of a service
//! can be played on the engine as they are.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use tokio::runtime::{Builder, Handle, Runtime};

#[derive(Debug, Default)]
pub(super) struct Beside {
    runtime: Mutex<Option<Runtime>>,
    /// Whether the one thread waits here just now.
    waits: AtomicBool,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Beside {
    /// Runs work to its end on this thread, with sockets and timers of the other runtime. Work that yields would wait for this thread.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = self.runtime();
        let _entered = runtime.as_ref().map(Handle::enter);
        self.waits.store(true, Ordering::Relaxed);
        // Not for its turn to be over: nobody would give it another one.
        let mut work = pin!(tokio::task::unconstrained(work));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match work.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => {
                    self.waits.store(false, Ordering::Relaxed);
                    return answer;
                }
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Whether whoever asks is waited for by a thread that can do nothing else meanwhile.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Runs work over there.
    pub(super) async fn run<T: Send + 'static>(
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
