//! `--probe URL`: asks a running proxy on this machine, for images that have no other program to ask with (`HEALTHCHECK`).

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use proveil::{Code, Error, Result};

/// A proxy on the same machine that needs longer is not well.
const TIMEOUT: Duration = Duration::from_secs(3);
/// `HTTP/1.1 200`, which is all that is read.
const STATUS_BYTES: usize = 12;

/// Whether the answer to GET is 2xx. Fails with `config_invalid` for anything but `http` on a loopback address.
pub(crate) fn probe(url: &str) -> Result<bool> {
    let (address, path) = target(url)?;
    Ok(status(address, path).is_ok_and(|status| status.starts_with("HTTP/1.1 2")))
}

fn target(url: &str) -> Result<(SocketAddr, &str)> {
    let invalid = || {
        Error::new(Code::ConfigInvalid)
            .at("--probe")
            .expected("http to a loopback address with a port, as in http://127.0.0.1:8080/healthz")
            .found(url.chars().take(100).collect::<String>())
    };
    let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = (rest.get(..end).unwrap_or_default(), rest.get(end..).unwrap_or_default());
    let address = match authority.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).ok(),
        None => authority.parse().ok(),
    };
    let address = address.filter(|address: &SocketAddr| address.ip().is_loopback()).ok_or_else(invalid)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid());
    }
    Ok((address, if path.is_empty() { "/healthz" } else { path }))
}

fn status(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut first = [0_u8; STATUS_BYTES];
    stream.read_exact(&mut first)?;
    Ok(String::from_utf8_lossy(&first).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn targets() {
        for (url, address, path) in [
            ("http://127.0.0.1:8080/readyz", "127.0.0.1:8080", "/readyz"),
            ("http://localhost:8080", "127.0.0.1:8080", "/healthz"),
            ("http://[::1]:9/", "[::1]:9", "/"),
        ] {
            assert_eq!(target(url).unwrap(), (address.parse().unwrap(), path), "{url}");
        }
        for url in [
            "",
            "https://127.0.0.1:8080/",
            "127.0.0.1:8080",
            "http://127.0.0.1/",
            "http://10.0.0.1:8080/",
            "http://proxy:8080/",
            "http://127.0.0.1:8080/a b",
            "http://127.0.0.1:8080/\r\nX: y",
        ] {
            assert_eq!(target(url).unwrap_err().code(), Code::ConfigInvalid, "{url}");
        }
    }

    #[test]
    fn answers() {
        for (said, well) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            ("SSH-2.0-OpenSSH_9.9\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0_u8; 256];
                let length = stream.read(&mut head).unwrap();
                stream.write_all(said.as_bytes()).unwrap();
                String::from_utf8_lossy(&head[..length]).into_owned()
            });
            assert_eq!(probe(&format!("http://{address}/readyz")).unwrap(), well, "{said}");
            let asked = server.join().unwrap();
            assert!(asked.starts_with(&format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\n")), "{asked}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!probe(&format!("http://{closed}/healthz")).unwrap());
    }
}
