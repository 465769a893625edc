//! Who may ask for what, decided on the head of a request before its body is read: host, origin, token, method, content type
//! (users.md 8; threats T51, T52, T53, T56).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use proveil::core::secret::constant_time_eq;
use proveil::core::wire::hex;
use proveil::{Code, Error, Result, SecretText};

use super::settings::Settings;
use crate::inputs;

/// Longest file of client tokens.
const TOKENS_MAX_BYTES: u64 = 1024 * 1024;
/// Fewest characters of a token: shorter ones can be guessed.
const TOKEN_MIN: usize = 16;
const TOKEN_MAX: usize = 512;
/// What a browser says about a request that another site caused.
const FETCH_SITE: &str = "sec-fetch-site";

/// Somebody who may call.
#[derive(Clone)]
pub(super) struct Caller {
    /// Stands for the caller where answers are counted: no key or token can be read from it.
    pub(super) id: String,
    /// The API key that it brought along, where callers bring their own.
    pub(super) key: Option<Arc<SecretText>>,
}

/// The rules.
pub(super) struct Gate {
    hosts: Vec<String>,
    origins: Vec<String>,
    scheme: &'static str,
    container: bool,
    /// Nothing says who may call, so addresses of private networks alone are served.
    private_only: bool,
    tokens_file: Option<PathBuf>,
    tokens: ArcSwapOption<Vec<SecretText>>,
    callers_bring_keys: bool,
}

impl Gate {
    /// Reads the tokens. Fails with `config_invalid` and `file_unreadable`.
    pub(super) fn new(settings: &Settings) -> Result<Gate> {
        let gate = Gate {
            hosts: settings.hosts.clone(),
            origins: settings.origins.clone(),
            scheme: if settings.tls.is_some() { "https" } else { "http" },
            container: settings.container,
            private_only: settings.container && !settings.has_access_control(),
            tokens_file: settings.tokens_file.clone(),
            tokens: ArcSwapOption::empty(),
            callers_bring_keys: settings.recipes.iter().any(|recipe| !recipe.has_own_key()),
        };
        gate.reload()?;
        Ok(gate)
    }

    /// Reads the file of tokens again. On an error the earlier ones stay in force.
    pub(super) fn reload(&self) -> Result<()> {
        if let Some(path) = &self.tokens_file {
            self.tokens.store(Some(Arc::new(read_tokens(path)?)));
        }
        Ok(())
    }

    /// Files whose change calls for [`Gate::reload`].
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.tokens_file.iter().cloned().collect()
    }

    /// Whether the head of a request may be looked at any further: by whom it was sent and through which name.
    pub(super) fn admit(&self, headers: &HeaderMap, uri: &Uri, peer: IpAddr) -> Result<()> {
        if self.private_only && !is_private(peer) {
            return Err(Error::new(Code::HostNotAllowed).found("a public address"));
        }
        let host = self.host(headers, uri)?;
        self.check_origin(headers, host)
    }

    /// T51: a page that had its own name resolve to this machine still says its own name.
    fn host<'h>(&self, headers: &'h HeaderMap, uri: &'h Uri) -> Result<&'h str> {
        let mut named = headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().unwrap_or_default(),
            _ => return Err(Error::new(Code::HostNotAllowed).expected("one Host header")),
        };
        let authority_differs = uri.authority().is_some_and(|authority| authority.as_str() != host);
        let name = host_of(host).to_ascii_lowercase();
        let loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let single_label = self.container && !name.is_empty() && !name.contains(['.', ':']);
        if authority_differs || !(loopback || single_label || self.hosts.contains(&name)) {
            return Err(Error::new(Code::HostNotAllowed).found(shown(&name)));
        }
        Ok(host)
    }

    /// T52: a browser names the page that makes a request.
    fn check_origin(&self, headers: &HeaderMap, host: &str) -> Result<()> {
        let refuse = |found: &str| Error::new(Code::OriginNotAllowed).found(shown(found));
        let site = headers.get(FETCH_SITE).map(|value| value.to_str().unwrap_or("?"));
        let own = format!("{}://{}", self.scheme, host.to_ascii_lowercase());
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => match site {
                Some("cross-site" | "same-site") if !is_navigation(headers) => Err(refuse("another site")),
                _ => Ok(()),
            },
            (Some(origin), None) => {
                let origin = origin.to_str().unwrap_or("?").to_ascii_lowercase();
                if origin == own || self.origins.contains(&origin) { Ok(()) } else { Err(refuse(&origin)) }
            }
            _ => Err(refuse("several origins")),
        }
    }

    /// The origin, when it is one of those that were allowed beside the proxy's own.
    pub(super) fn foreign_origin(&self, headers: &HeaderMap) -> Option<String> {
        let origin = headers.get(ORIGIN)?.to_str().ok()?;
        self.origins.contains(&origin.to_ascii_lowercase()).then(|| origin.to_owned())
    }

    /// Whether the provider is asked with keys that callers send.
    pub(super) fn callers_bring_keys(&self) -> bool {
        self.callers_bring_keys
    }

    /// Who reads what the proxy says about itself: no key of a provider is needed for that. Fails with `client_unauthorized`.
    pub(super) fn identify_reader(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
        match self.tokens.load().as_deref() {
            Some(tokens) => by_token(headers, tokens),
            None => Ok(Caller { id: peer.to_string(), key: None }),
        }
    }

    /// Who calls. Fails with `client_unauthorized`, and with `missing_api_key` where callers bring their own key.
    pub(super) fn identify(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
        if let Some(tokens) = self.tokens.load().as_deref() {
            return by_token(headers, tokens);
        }
        if self.callers_bring_keys {
            let key = bearer(headers).filter(|key| !key.is_empty()).ok_or_else(|| {
                Error::new(Code::MissingApiKey)
                    .at("Authorization")
                    .context("The proxy has no API key of its own, so every caller must send one.")
            })?;
            let key = Arc::new(SecretText::new(key.to_owned()));
            return Ok(Caller { id: fingerprint(key.expose()), key: Some(key) });
        }
        Ok(Caller { id: peer.to_string(), key: None })
    }
}

fn by_token(headers: &HeaderMap, tokens: &[SecretText]) -> Result<Caller> {
    let shown = bearer(headers).ok_or_else(|| Error::new(Code::ClientUnauthorized).found("no token"))?;
    // All are compared, so that the time says nothing about which one was nearly right.
    let known = tokens
        .iter()
        .fold(false, |known, token| constant_time_eq(token.expose().as_bytes(), shown.as_bytes()) | known);
    if !known {
        return Err(Error::new(Code::ClientUnauthorized).found("another token"));
    }
    Ok(Caller { id: fingerprint(shown), key: None })
}

/// Types that a form of any page can have besides that of an upload.
const FORM_TYPES: [&str; 2] = ["text/plain", "application/x-www-form-urlencoded"];

/// T52: what a form of another site's page can send without being asked is not taken: neither `text/plain` nor no type at all.
///
/// Without `accepted` any other type is taken, because the endpoint takes documents of every kind.
pub(super) fn check_content_type(
    method: &Method,
    headers: &HeaderMap,
    accepted: Option<&[&str]>,
) -> Result<()> {
    if method != Method::POST {
        return Ok(());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let found = match (types.next(), types.next()) {
        (Some(found), None) => found.to_str().unwrap_or_default(),
        _ => "",
    };
    let kind = found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let passes = match accepted {
        Some(accepted) => accepted.iter().any(|accepted| *accepted == kind),
        None => kind.contains('/') && !FORM_TYPES.contains(&kind.as_str()),
    };
    if passes {
        return Ok(());
    }
    let expected = accepted.map_or_else(|| "any but text/plain and urlencoded forms, which any page can send: send these as multipart/form-data".to_owned(), |types| types.join(" or "));
    Err(Error::new(Code::ContentTypeNotAllowed).expected(expected).found(shown(&kind)))
}

/// The host of a `Host` header, without port and brackets.
pub(super) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.contains(':') => host,
        _ => authority,
    }
}

/// The text after `Bearer`, or the key header of Anthropic's libraries.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization.and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let visible = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
    bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok())).filter(visible)
}

fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

/// Addresses of this machine and of private networks.
fn is_private(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// A caller's words, short and harmless enough for an error.
fn shown(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// The whole digest: callers with different keys must never be taken for one another (threats I9, T56).
fn fingerprint(secret: &str) -> String {
    hex::encode(&proveil::core::crypto::sha256(&[secret.as_bytes()]))
}

fn read_tokens(path: &Path) -> Result<Vec<SecretText>> {
    const FLAG: &str = "--client-tokens-file";
    let bytes = zeroize::Zeroizing::new(inputs::read(path, FLAG, TOKENS_MAX_BYTES)?);
    let unusable = |found: String| {
        let form = format!("lines of {TOKEN_MIN} to {TOKEN_MAX} visible ASCII characters");
        Error::new(Code::ConfigInvalid).at(FLAG).expected(form).found(found)
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable("other bytes".to_owned()))?;
    let mut tokens = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        let fits = (TOKEN_MIN..=TOKEN_MAX).contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable(format!("line {number}")));
        }
        tokens.push(SecretText::new(token.to_owned()));
    }
    if tokens.is_empty() {
        return Err(unusable("no token".to_owned()));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(private_only: bool) -> Gate {
        Gate {
            hosts: Vec::new(),
            origins: Vec::new(),
            scheme: "http",
            container: true,
            private_only,
            tokens_file: None,
            tokens: ArcSwapOption::empty(),
            callers_bring_keys: false,
        }
    }

    /// T53: in a container without tokens, whoever has a public address is a stranger.
    #[test]
    fn t53_strangers() {
        let headers = HeaderMap::from_iter([(HOST, "localhost:8080".parse().unwrap())]);
        for (peer, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.17.0.1", true),
            ("192.168.0.9", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("8.8.8.8", false),
            ("100.64.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            let admitted = |gate: Gate| gate.admit(&headers, &Uri::from_static("/"), peer.parse().unwrap());
            assert_eq!(admitted(gate(true)).is_ok(), private, "{peer}");
            assert!(admitted(gate(false)).is_ok(), "{peer}");
        }
    }
}
