//! Whether the hosts that a verification needs can be reached, by the client's own transport.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use proveil::{BaseUrl, Client, Code, Error, Provider, Result, SecretText};

use super::Finding;
use crate::args::{Connection, Rules};
use crate::config::Loaded;
use crate::inputs;
use crate::output::Output;
use crate::progress::Progress;

/// A connection, or the resolution of a name.
const LONGEST: Duration = Duration::from_secs(5);

/// A host, and what happens without it.
struct Host {
    about: &'static str,
    url: String,
    /// What an unreachable one means; `None` where only some verifications need it.
    code: Option<Code>,
}

/// The provider's own address and those of the vendors whose word counts about it.
pub(super) async fn look(
    provider: Provider,
    settings: &Loaded,
    progress: &Progress,
    output: &Output,
) -> Vec<Finding> {
    let about = |what: &str| format!("{}: {what}", provider.name());
    let client = match client(provider, settings, progress, output) {
        Ok(client) => client,
        Err(error) => return vec![Finding::error(about("settings"), &error)],
    };
    let mut findings = Vec::new();
    if let Some(path) = settings.provider(provider).ca_bundle {
        findings.push(Finding::good(about("CA bundle"), path.display().to_string()));
    }
    for host in hosts(provider, settings) {
        findings.push(reach(&client, &host, about(host.about)).await);
    }
    findings
}

/// A client of these settings, as the commands would make it. Files that cannot be used are found here. It has no key: none is sent.
fn client(provider: Provider, settings: &Loaded, progress: &Progress, output: &Output) -> Result<Client> {
    let (connection, rules) = (Connection::default(), Rules::default());
    let key = SecretText::new(String::new());
    let mut config = inputs::client_config(provider, &connection, Some(&rules), settings, key, output)?;
    config.timeouts.connect_s = LONGEST.as_secs();
    Client::observed(config, progress.observer())
}

fn hosts(provider: Provider, settings: &Loaded) -> Vec<Host> {
    let config = settings.provider(provider);
    let host = |about, configured: Option<String>, usual: &str, code| Host {
        about,
        url: configured.unwrap_or_else(|| usual.to_owned()),
        code,
    };
    let base = config.base_url.unwrap_or_else(|| provider.default_base_url().to_owned());
    // A deployment on this machine publishes its manifest itself.
    let own_manifest = base.starts_with("http://").then(|| base.clone());
    let mut hosts = vec![host("provider", Some(base), "", Some(Code::ConnectionFailed))];
    match provider {
        Provider::Venice => {
            let intel = Some(Code::CollateralUnreachable);
            hosts.push(host("Intel", config.collateral_url, "https://api.trustedservices.intel.com", intel));
            match config.nvidia_url {
                Some(url) => hosts.push(host("NVIDIA", Some(url), "", None)),
                None => {
                    hosts.push(host("NVIDIA manifests", None, "https://rim.attestation.nvidia.com", None));
                    hosts.push(host("NVIDIA OCSP", None, "https://ocsp.ndis.nvidia.com", None));
                }
            }
        }
        Provider::Privatemode => {
            if config.manifest.is_none() {
                let configured = config.manifest_url.or(own_manifest);
                let code = Some(Code::ManifestUnreachable);
                hosts.push(host("manifests", configured, "https://cdn.confidential.cloud", code));
            }
            hosts.push(host("AMD", config.amd_url, "https://kdsintf.amd.com", None));
        }
    }
    hosts
}

async fn reach(client: &Client, host: &Host, about: String) -> Finding {
    let url = match BaseUrl::parse(&host.url) {
        Ok(url) => url,
        Err(error) => return Finding::error(about, &error),
    };
    match client.probe(&url).await {
        Ok(status) => Finding::good(about, format!("{} answers (status {status})", host.url)),
        Err(error) => unreachable(&host.url, host.code, &error, about).await,
    }
}

/// Finds out what is in the way.
async fn unreachable(url: &str, code: Option<Code>, error: &Error, about: String) -> Finding {
    let found = error.found_value().unwrap_or("no answer").to_owned();
    let proxied = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let cause = if proxied && url.starts_with("https:") { Cause::Proxy } else { cause(url).await };
    let text = format!("{url}: {}", cause.words(&found));
    match code {
        Some(code) => Finding::failed(about, code, text, cause.next()),
        None => {
            let next = format!(
                "{} It is asked only where evidence lacks something or the policy wants more.",
                cause.next()
            );
            Finding::warning(about, text, next)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Proxy,
    Name,
    Connection,
    /// The connection stands, and then nothing comes of it.
    Tls,
}

impl Cause {
    fn words(self, found: &str) -> String {
        match self {
            Cause::Proxy => format!("{found}, through the proxy that a variable names"),
            Cause::Name => "its name cannot be resolved".to_owned(),
            Cause::Connection => "no connection can be made".to_owned(),
            Cause::Tls => format!("connected, but {found}: no TLS, or a certificate that is not trusted"),
        }
    }

    const fn next(self) -> &'static str {
        match self {
            Cause::Proxy => "Check HTTPS_PROXY and NO_PROXY, and whether the proxy allows this host.",
            Cause::Name => "Check the network and its DNS, and the address in the configuration.",
            Cause::Connection => {
                "Check the network, a firewall in between, and the address in the configuration."
            }
            Cause::Tls => {
                "Where a company's proxy opens TLS, name its authority as `ca_bundle`; also check the clock."
            }
        }
    }
}

/// The same way on foot, without proxy: name, then connection.
async fn cause(url: &str) -> Cause {
    let Some((host, port)) = host_and_port(url) else { return Cause::Name };
    let look = tokio::task::spawn_blocking(move || {
        let Ok(addresses) = (host.as_str(), port).to_socket_addrs() else { return Cause::Name };
        let addresses: Vec<SocketAddr> = addresses.collect();
        let open = |address: &SocketAddr| TcpStream::connect_timeout(address, LONGEST).is_ok();
        if addresses.iter().take(4).any(open) { Cause::Tls } else { Cause::Connection }
    });
    match tokio::time::timeout(LONGEST.saturating_mul(3), look).await {
        Ok(Ok(cause)) => cause,
        // A resolver that does not answer.
        Ok(Err(_)) | Err(_) => Cause::Name,
    }
}

fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((bare(host), port.parse().ok()?)),
        _ => Some((bare(authority), usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (url, expected) in [
            ("https://api.example/v1", Some(("api.example", 443))),
            ("http://127.0.0.1:8080", Some(("127.0.0.1", 8080))),
            ("https://[::1]/x", Some(("::1", 443))),
            ("https://[::1]:9/x", Some(("::1", 9))),
            ("https://host:port", None),
            ("nothing", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(url), expected, "{url}");
        }
    }
}
