//! A caller's connection with two guards that HTTP libraries do not have: a reader that stopped reading is let go, and every head is read
//! for what other readers would understand differently (threats T54).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::heads::Heads;

/// How long a caller may take no bytes (the idle gap of threats section 5).
const WRITE_WAIT: Duration = Duration::from_secs(300);

/// The connection `S` under guard.
pub(super) struct Guarded<S> {
    inner: S,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    is_waiting: bool,
    heads: Heads,
    /// Set once a head came that two readers could understand differently; it stays.
    smuggled: Arc<AtomicBool>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, smuggled: Arc<AtomicBool>) -> Guarded<S> {
        let waiting = Box::pin(sleep(WRITE_WAIT));
        Guarded { inner, waiting, is_waiting: false, heads: Heads::default(), smuggled }
    }

    /// An error once nothing could be written for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.is_waiting {
            let deadline = Instant::now().checked_add(WRITE_WAIT);
            self.waiting.as_mut().reset(deadline.unwrap_or_else(Instant::now));
            self.is_waiting = true;
        }
        ready!(self.waiting.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.heads.look(buffer.filled().get(before..).unwrap_or_default());
        // Before the HTTP library sees these bytes, so that no request with such a head is answered otherwise.
        if self.heads.is_doubtful() {
            self.smuggled.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn guard(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match write(Pin::new(&mut self.inner), context) {
            Poll::Ready(result) => {
                self.is_waiting = false;
                Poll::Ready(result)
            }
            Poll::Pending => self.wait(context).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.guard(context, |inner, context| inner.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.guard(context, |inner, context| inner.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
