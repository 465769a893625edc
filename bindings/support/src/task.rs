use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proveil_core::{Code, Error, Result};
use tokio::sync::watch;

use crate::{guard, runtime};

/// Ends operations early, from any thread. Clones share one flag, which stays set once triggered.
#[derive(Clone, Debug)]
pub struct CancelToken(Arc<watch::Sender<bool>>);

impl CancelToken {
    /// A token that nobody has triggered.
    pub fn new() -> CancelToken {
        CancelToken(Arc::new(watch::Sender::new(false)))
    }

    /// Ends every operation that runs under this token, now and later.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    /// True once triggered.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the token is triggered.
    pub async fn triggered(&self) {
        // The sender lives as long as this token, so waiting cannot fail; an error would mean that it is gone, which ends the wait too.
        let _ = self.0.subscribe().wait_for(|triggered| *triggered).await;
    }
}

impl Default for CancelToken {
    fn default() -> CancelToken {
        CancelToken::new()
    }
}

/// Runs a future on the shared runtime, whatever executor awaits this one. Dropping it, or triggering `cancel`, drops the future:
/// connections close and keys are wiped. A panic becomes PV-902, a triggered token PV-709.
pub async fn run<T: Send + 'static>(
    cancel: CancelToken,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = runtime()?.spawn(async move {
        let work = Guarded(Box::pin(future));
        tokio::select! {
            biased;
            () = cancel.triggered() => Err(Error::new(Code::Cancelled)),
            result = work => result,
        }
    });
    AbortOnDrop(task).await
}

/// A future whose every step runs inside [`guard`].
struct Guarded<T>(Pin<Box<dyn Future<Output = Result<T>> + Send>>);

impl<T> Future for Guarded<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        guard(|| Ok(self.0.as_mut().poll(context))).unwrap_or_else(|panic| Poll::Ready(Err(panic)))
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<Result<T>>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // The task catches its own panics, so the only other end is a runtime that shuts down.
        Pin::new(&mut self.0)
            .poll(context)
            .map(|joined| joined.unwrap_or_else(|_| Err(Error::new(Code::Cancelled))))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    #[test]
    fn results_panics_and_cancellation() {
        assert_eq!(block_on(run(CancelToken::new(), async { Ok(7) })).unwrap(), 7);

        let panicked = block_on(run::<()>(CancelToken::new(), async { panic!("canary") })).unwrap_err();
        assert_eq!((panicked.code(), panicked.to_string().contains("canary")), (Code::Panic, false));

        let token = CancelToken::new();
        let other = token.clone();
        let waiting = async move {
            other.trigger();
            std::future::pending::<Result<()>>().await
        };
        assert_eq!(block_on(run(token.clone(), waiting)).unwrap_err().code(), Code::Cancelled);
        assert!(token.is_triggered());
        assert_eq!(block_on(run(token, async { Ok(()) })).unwrap_err().code(), Code::Cancelled);
    }

    #[test]
    fn dropping_drops_the_work() {
        struct Flag(std::sync::mpsc::Sender<()>);
        impl Drop for Flag {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let outer = async move {
            let flag = Flag(sender);
            let inner = run(CancelToken::new(), async move {
                let _flag = flag;
                std::future::pending::<Result<()>>().await
            });
            tokio::select! { biased; _ = inner => {}, () = tokio::task::yield_now() => {} }
            Ok(())
        };
        block_on(outer).unwrap();
        receiver.recv().unwrap();
    }
}
