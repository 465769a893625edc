//! A caller's connection with two guards that HTTP libraries do not have: a reader that stopped reading is let go, and a head that says in
//! two ways how long its body is gets noticed (threats T54).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a caller may take no bytes (the idle gap of threats section 5).
const WRITE_WAIT: Duration = Duration::from_secs(300);
/// Of a head; the HTTP library refuses longer ones.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// The connection `S` under guard.
pub(super) struct Guarded<S> {
    inner: S,
    /// Runs while a write waits.
    waiting: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// The first head as far as it was read; `None` when it is over.
    head: Option<Vec<u8>>,
    /// Set when the head says in two ways how long the body is.
    smuggled: Arc<AtomicBool>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, smuggled: Arc<AtomicBool>) -> Guarded<S> {
        let waiting = Box::pin(sleep(WRITE_WAIT));
        Guarded { inner, waiting, is_waiting: false, head: Some(Vec::new()), smuggled }
    }

    /// Reads the first head beside the HTTP library, which takes one of the two lengths, leaves the other out and closes the connection
    /// afterwards, so that no second head follows such a first one.
    fn look(&mut self, bytes: &[u8]) {
        let Some(head) = &mut self.head else { return };
        head.extend_from_slice(bytes);
        let end = head.windows(4).position(|window| window == b"\r\n\r\n");
        if end.is_some() && has_two_lengths(head.get(..end.unwrap_or_default()).unwrap_or_default()) {
            self.smuggled.store(true, Ordering::Relaxed);
        }
        if end.is_some() || head.len() > HEAD_MAX_BYTES {
            self.head = None;
        }
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

fn has_two_lengths(head: &[u8]) -> bool {
    let named = |line: &[u8], name: &[u8]| {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        line.get(..end).is_some_and(|have| have.trim_ascii().eq_ignore_ascii_case(name))
    };
    let count =
        |name: &[u8]| head.split(|byte| *byte == b'\n').skip(1).filter(|line| named(line, name)).count();
    let (lengths, encodings) = (count(b"content-length"), count(b"transfer-encoding"));
    lengths.saturating_add(encodings) > 1
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if self.head.is_some() {
            let new = buffer.filled().get(before..).unwrap_or_default();
            self.look(new);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// T54: two lengths in one head, in any order and spelling.
    #[test]
    fn t54_two_lengths() {
        for (head, two) in [
            ("POST / HTTP/1.1\r\nContent-Length: 1", false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked", false),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", true),
            ("POST / HTTP/1.1\r\ntransfer-encoding : chunked\r\nHost: a\r\nCONTENT-LENGTH:1", true),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", true),
            ("POST /content-length: HTTP/1.1\r\nContent-Length: 1", false),
        ] {
            assert_eq!(has_two_lengths(head.as_bytes()), two, "{head}");
        }
    }

    #[test]
    fn t54_a_head_in_pieces() {
        let smuggled = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut guarded = Guarded::new((), smuggled.clone());
            for byte in b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r" {
                guarded.look(&[*byte]);
            }
            assert!(!smuggled.load(Ordering::Relaxed));
            guarded.look(b"\n0\r\n\r\n");
            assert!(smuggled.load(Ordering::Relaxed) && guarded.head.is_none());
        });
    }
}
