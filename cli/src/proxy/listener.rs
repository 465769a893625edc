//! The address that the proxy takes. In a container that is all of its network, by IPv6 and IPv4, whichever of them there are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proveil::{Code, Error, Result};
use tokio::net::TcpListener;

/// Takes the address; `[::]` takes IPv4 as well. In a container without IPv6 that is `0.0.0.0`. Fails with `config_invalid` when it cannot be
/// had.
pub(super) async fn bind(address: SocketAddr, container: bool) -> Result<TcpListener> {
    let bound = match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => match both_families(address).await {
            Err(error) if container && has_no_ipv6(&error) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
            }
            bound => bound,
        },
        _ => TcpListener::bind(address).await,
    };
    bound.map_err(|error| Error::new(Code::ConfigInvalid).at("--listen").found(format!("{address}: {error}")))
}

/// Whatever the system does with such a socket when nobody says so.
#[cfg(unix)]
async fn both_families(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, bind, ipproto, listen, socket, sockopt};
    /// Connections that wait to be accepted.
    const BACKLOG: i32 = 1024;
    let socket = socket(AddressFamily::INET6, SocketType::STREAM, Some(ipproto::TCP))?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Elsewhere as the system does it.
#[cfg(not(unix))]
async fn both_families(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// True where the family is missing or switched off, and not when the port is taken.
fn has_no_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpStream};

    use super::*;

    /// Whoever comes by either family is let in; a taken port stays an error.
    #[test]
    fn both_families_reach_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let all = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = runtime.block_on(bind(all(0), true)).unwrap();
        let address = listener.local_addr().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
        if address.is_ipv6() && std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).unwrap();
        }
        let taken = runtime.block_on(bind(all(address.port()), true)).unwrap_err();
        assert_eq!(taken.code(), Code::ConfigInvalid);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        assert!(runtime.block_on(bind(loopback, false)).unwrap().local_addr().unwrap().ip().is_loopback());
    }

    #[cfg(unix)]
    #[test]
    fn without_ipv6() {
        use rustix::io::Errno;
        for (errno, missing) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(has_no_ipv6(&io::Error::from(errno)), missing, "{errno}");
        }
    }
}
