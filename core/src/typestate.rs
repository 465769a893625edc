//! What must not compile: ways around the path from bytes to a proof (style.md B4, docs/adr/0004). Only documentation tests; each type
//! starts with an example that does compile, so that a renamed path cannot make the others fail for the wrong reason. Traits that are
//! absent are listed in `tests/typestate.rs`.

/// Authenticated facts come out of `attest` alone, and stay as they were signed.
///
/// ```
/// use proveil_core::claims::{TdxClaims, Verified};
/// fn read(facts: &Verified<TdxClaims>) -> u16 { facts.get().quote_version }
/// ```
/// ```compile_fail,E0423
/// use proveil_core::claims::Verified;
/// let forged = Verified("facts");
/// ```
/// ```compile_fail,E0624
/// use proveil_core::claims::Verified;
/// let forged = Verified::new("facts");
/// ```
/// ```compile_fail,E0594
/// use proveil_core::claims::{TdxClaims, Verified};
/// fn change(mut facts: Verified<TdxClaims>) { facts.quote_version = 5; }
/// ```
/// ```compile_fail,E0616
/// use proveil_core::claims::{TdxClaims, Verified};
/// fn take(facts: Verified<TdxClaims>) -> TdxClaims { facts.0 }
/// ```
/// ```compile_fail,E0308
/// use proveil_core::claims::{TdxClaims, Verified};
/// fn copy(facts: &Verified<TdxClaims>) -> Verified<TdxClaims> { facts.clone() }
/// ```
pub struct Facts;

/// Collateral counts as verified only after its own verification.
///
/// ```
/// use proveil_core::attest::tdx::VerifiedCollateral;
/// fn read(collateral: &VerifiedCollateral) -> u64 { collateral.expires_at() }
/// ```
/// ```compile_fail,E0451
/// use proveil_core::attest::tdx::VerifiedCollateral;
/// fn extend(old: VerifiedCollateral) -> VerifiedCollateral { VerifiedCollateral { expires_at: u64::MAX, ..old } }
/// ```
/// ```compile_fail,E0616
/// use proveil_core::attest::tdx::VerifiedCollateral;
/// fn extend(collateral: &mut VerifiedCollateral) { collateral.expires_at = u64::MAX; }
/// ```
pub struct Collateral;

/// The witness of an appraisal that ended in `verified` is made where appraisals end.
///
/// ```
/// use proveil_core::policy::Accepted;
/// fn read(accepted: &Accepted) -> u64 { accepted.not_after() }
/// ```
/// ```compile_fail,E0451
/// use proveil_core::policy::Accepted;
/// let accepted = Accepted { not_after: u64::MAX };
/// ```
/// ```compile_fail,E0616
/// use proveil_core::policy::Accepted;
/// fn extend(accepted: &mut Accepted) { accepted.not_after = u64::MAX; }
/// ```
/// ```compile_fail,E0599
/// use proveil_core::policy::Accepted;
/// let accepted = Accepted::default();
/// ```
/// ```compile_fail,E0308
/// use proveil_core::policy::Accepted;
/// fn copy(accepted: &Accepted) -> Accepted { accepted.clone() }
/// ```
/// ```compile_fail,E0603
/// use proveil_core::policy::Appraisal;
/// ```
pub struct Witness;

/// An endpoint comes out of an exchange alone. Reports and captured evidence give none.
///
/// ```
/// use proveil_core::endpoint::{Outcome, VerifiedEndpoint};
/// fn take(outcome: Outcome) -> Option<VerifiedEndpoint> { outcome.into_result().ok() }
/// fn share(endpoint: &VerifiedEndpoint) -> u64 { endpoint.not_after() }
/// ```
/// ```compile_fail,E0624
/// use proveil_core::endpoint::VerifiedEndpoint;
/// let constructor = VerifiedEndpoint::new;
/// ```
/// ```compile_fail,E0616
/// use proveil_core::endpoint::VerifiedEndpoint;
/// use proveil_core::policy::Accepted;
/// fn extend(endpoint: &mut VerifiedEndpoint, accepted: Accepted) { endpoint.accepted = accepted; }
/// ```
/// ```compile_fail,E0451
/// use proveil_core::endpoint::VerifiedEndpoint;
/// use proveil_core::report::Report;
/// fn relabel(endpoint: VerifiedEndpoint, report: Report) -> VerifiedEndpoint { VerifiedEndpoint { report, ..endpoint } }
/// ```
/// ```compile_fail,E0308
/// use proveil_core::endpoint::VerifiedEndpoint;
/// fn copy(endpoint: &VerifiedEndpoint) -> VerifiedEndpoint { endpoint.clone() }
/// ```
/// ```compile_fail,E0277
/// use proveil_core::endpoint::VerifiedEndpoint;
/// let endpoint: VerifiedEndpoint = Default::default();
/// ```
/// ```compile_fail,E0277
/// use proveil_core::endpoint::VerifiedEndpoint;
/// let endpoint: VerifiedEndpoint = serde_json::from_str("{}").unwrap();
/// ```
/// ```compile_fail,E0603
/// use proveil_core::endpoint::Channel;
/// ```
/// ```compile_fail,E0382
/// use proveil_core::endpoint::Outcome;
/// fn twice(outcome: Outcome) { let _ = (outcome.into_result(), outcome.into_result()); }
/// ```
pub struct Endpoint;

/// A sealed request is what an endpoint made of a body, and nothing else.
///
/// ```
/// use proveil_core::endpoint::SealedRequest;
/// use proveil_core::http::HttpRequest;
/// fn send(sealed: SealedRequest) -> HttpRequest { sealed.into_request() }
/// ```
/// ```compile_fail,E0423
/// use proveil_core::endpoint::SealedRequest;
/// use proveil_core::http::HttpRequest;
/// fn wrap(request: HttpRequest) -> SealedRequest { SealedRequest(request) }
/// ```
/// ```compile_fail,E0616
/// use proveil_core::endpoint::SealedRequest;
/// use proveil_core::http::HttpRequest;
/// fn replace(sealed: &mut SealedRequest, request: HttpRequest) { sealed.0 = request; }
/// ```
/// ```compile_fail,E0308
/// use proveil_core::endpoint::SealedRequest;
/// fn copy(sealed: &SealedRequest) -> SealedRequest { sealed.clone() }
/// ```
pub struct Sealed;

/// A host reads a request and sends it; it neither makes nor changes one.
///
/// ```
/// use proveil_core::http::{HttpRequest, TlsRule};
/// fn read(request: &HttpRequest) -> (&str, &[u8], &TlsRule) { (request.url(), request.body(), request.tls()) }
/// ```
/// ```compile_fail,E0624
/// use proveil_core::http::{HttpRequest, Method};
/// let request = HttpRequest::new(Method::Post, String::new(), "chat", 1);
/// ```
/// ```compile_fail,E0451
/// use proveil_core::http::HttpRequest;
/// fn redirect(request: HttpRequest) -> HttpRequest { HttpRequest { url: String::new(), ..request } }
/// ```
/// ```compile_fail,E0616
/// use proveil_core::http::{HttpRequest, TlsRule};
/// fn relax(request: &mut HttpRequest) { request.tls = TlsRule::PublicCa; }
/// ```
/// ```compile_fail,E0624
/// use proveil_core::http::HttpRequest;
/// fn replace(request: HttpRequest) -> HttpRequest { request.with_body(b"prompt in clear".to_vec()) }
/// ```
/// ```compile_fail,E0624
/// use proveil_core::http::HttpRequest;
/// fn add(request: HttpRequest) -> HttpRequest { request.header("cookie", "a=b") }
/// ```
pub struct Request;

/// An opener belongs to one request and ends once.
///
/// ```
/// use proveil_core::endpoint::{Event, Opener};
/// fn end(opener: Opener, out: &mut Vec<Event>) -> bool { opener.finish(out).is_ok() }
/// ```
/// ```compile_fail,E0624
/// use proveil_core::endpoint::Opener;
/// let constructor = Opener::new;
/// ```
/// ```compile_fail,E0382
/// use proveil_core::endpoint::{Event, Opener};
/// fn twice(opener: Opener, out: &mut Vec<Event>) { let _ = (opener.finish(out), opener.finish(out)); }
/// ```
/// ```compile_fail,E0382
/// use proveil_core::endpoint::{Event, Opener};
/// fn after(mut opener: Opener, out: &mut Vec<Event>) { let _ = opener.finish(out); let _ = opener.push(b"late", out); }
/// ```
pub struct Opening;

/// A report is a record: it is written, never read back to decide.
///
/// ```
/// use proveil_core::report::Report;
/// fn write(report: &Report) -> String { report.to_json() }
/// ```
/// ```compile_fail,E0277
/// use proveil_core::report::Report;
/// let report: Report = serde_json::from_str("{}").unwrap();
/// ```
/// ```compile_fail,E0616
/// use proveil_core::report::{Report, Verdict};
/// fn improve(report: &mut Report) { report.verdict = Verdict::Verified; }
/// ```
pub struct Record;
