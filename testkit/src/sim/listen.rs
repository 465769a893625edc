//! The HTTP server under every simulated provider: a port on loopback, threads of its own, and connections that can be broken before
//! the first byte of an answer.

use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

/// Connections that may wait to be taken: a thousand callers come at once in tests.
const BACKLOG: u32 = 2048;

/// A server that runs until it is dropped. It can be started inside or outside an asynchronous runtime.
pub(super) struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Binds a port on 127.0.0.1 (0 takes a free one) and serves.
    pub(super) fn start(port: u16, app: Router) -> Result<Server> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let lines = {
            let _context = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
            Lines(socket.listen(BACKLOG)?)
        };
        let address = lines.0.local_addr()?;
        let service = app.into_make_service_with_connect_info::<Line>();
        runtime.spawn(async move { axum::serve(lines, service).await });
        Ok(Server { address, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:<port>`
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting makes this safe inside another runtime.
            runtime.shutdown_background();
        }
    }
}

/// One connection, as a handler sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    /// Nothing more is written: the peer sees a reset.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Line {
        stream.remote_addr().clone()
    }
}

struct Lines(TcpListener);

impl Listener for Lines {
    type Io = Socket;
    type Addr = Line;

    async fn accept(&mut self) -> (Socket, Line) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        // Without this each small event waits for the acknowledgement of the one before.
        drop(stream.set_nodelay(true));
        let line = Line::default();
        (Socket { stream, line: line.clone() }, line)
    }

    fn local_addr(&self) -> Result<Line> {
        Ok(Line::default())
    }
}

struct Socket {
    stream: TcpStream,
    line: Line,
}

impl Socket {
    /// Fails once the line is cut, and makes the close that follows a reset.
    fn check(&self) -> Result<()> {
        if self.line.is_cut() {
            drop(self.stream.set_zero_linger());
            return Err(Error::from(ErrorKind::ConnectionReset));
        }
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
