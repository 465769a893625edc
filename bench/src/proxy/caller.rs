//! A caller on a plain socket, which keeps its connection: it adds the same to both sides, and little.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket that says nothing for so long is a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where both sides answer.
const PATH: &str = "/v1/chat/completions";

/// One connection.
pub(super) struct Caller {
    socket: BufReader<TcpStream>,
    address: String,
}

/// How the body of an answer is delimited.
enum Framing {
    Length(usize),
    Chunked,
}

/// What came back.
pub(super) struct Answered {
    /// When the last byte was here.
    pub(super) at: Instant,
    pub(super) body: Vec<u8>,
}

impl Caller {
    /// Connects to `http://ADDRESS:PORT`.
    pub(super) fn connect(url: &str) -> Caller {
        let address = url.strip_prefix("http://").expect("a plain address").to_owned();
        let socket = TcpStream::connect(&address).expect("a listener");
        socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(PATIENCE))).expect("a socket");
        Caller { socket: BufReader::with_capacity(1 << 16, socket), address }
    }

    /// One request, and the whole answer. Panics unless it succeeds.
    pub(super) fn post(&mut self, body: &str) -> Answered {
        self.send("POST", PATH, body);
        let (status, framing) = self.head();
        let body = self.body(&framing);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        Answered { at: Instant::now(), body }
    }

    /// The status of a path without parameters.
    pub(super) fn get(&mut self, path: &str) -> u16 {
        self.send("GET", path, "");
        let (status, framing) = self.head();
        self.body(&framing);
        status
    }

    /// Sends a request and leaves its answer for [`Caller::first_chunk`].
    pub(super) fn begin(&mut self, body: &str) {
        self.send("POST", PATH, body);
    }

    /// The head and the first piece of a stream that goes on.
    pub(super) fn first_chunk(&mut self) -> Vec<u8> {
        let (status, framing) = self.head();
        assert!(status == 200 && matches!(framing, Framing::Chunked), "a stream, not {status}");
        let mut piece = Vec::new();
        self.chunk(&mut piece);
        piece
    }

    /// What is left of a stream after [`Caller::first_chunk`].
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.body(&Framing::Chunked)
    }

    fn send(&mut self, method: &str, path: &str, body: &str) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.socket.get_mut().write_all(request.as_bytes()).expect("an open connection");
    }

    fn head(&mut self) -> (u16, Framing) {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line");
        let mut framing = Framing::Chunked;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                return (status, framing);
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                framing = Framing::Length(length.trim().parse().expect("a length"));
            }
        }
    }

    fn body(&mut self, framing: &Framing) -> Vec<u8> {
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => {
                body.resize(*length, 0);
                self.socket.read_exact(&mut body).expect("a whole body");
            }
            Framing::Chunked => while self.chunk(&mut body) {},
        }
        body
    }

    /// Adds a chunk; false after the last one.
    fn chunk(&mut self, body: &mut Vec<u8>) -> bool {
        let length = usize::from_str_radix(&self.line(), 16).expect("a chunk's length");
        let from = body.len();
        body.resize(from + length, 0);
        self.socket.read_exact(&mut body[from..]).expect("a whole chunk");
        assert!(self.line().is_empty(), "the end of a chunk");
        length > 0
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("text");
        assert!(line.ends_with("\r\n"), "the connection ended: {line:?}");
        line.truncate(line.len() - 2);
        line
    }
}
