//! Everything that a simulated Privatemode can do wrong, by name (privatemode.md 10, threats.md section 4).

use proveil_core::error::Code;

use crate::sim::defect::{Outcome, defects};

/// Which part of the service a defect is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The manifest that is published.
    Manifest,
    /// The coordinator's attestation document.
    Attestation,
    /// AMD's certificates and list, inside the document or at AMD's service.
    Collateral,
    /// The exchange of the secret.
    Exchange,
    /// Any sealed answer, whole or streamed. The outcome is that of a streamed chat.
    Answer,
    /// A streamed answer.
    Stream,
    /// HTTP around requests to models.
    Http,
}

use Outcome::{Fails, NotDetectable, Works};

defects! {
    /// One way in which a simulated Privatemode misbehaves.
    Defect in Stage {
    ManifestDown "manifest-down" 23 Manifest Fails(Code::ManifestUnreachable), "The published manifest cannot be had: 503.";
    ManifestHtml "manifest-html" 23 Manifest Fails(Code::ManifestInvalid), "A captive portal answers in the manifest's place.";
    ManifestGarbage "manifest-garbage" 44 Manifest Fails(Code::ManifestInvalid), "The published manifest is cut in the middle.";
    ManifestDuplicate "manifest-duplicate" 10 Manifest Fails(Code::ManifestInvalid), "The published manifest names a member twice.";
    ManifestHuge "manifest-huge" 44 Manifest Fails(Code::LimitExceeded), "A manifest of more than four million bytes.";
    ManifestOther "manifest-other" 27 Manifest Fails(Code::ManifestMismatch), "The published manifest is not the active one.";
    ManifestReserialized "manifest-reserialized" 10 Manifest Fails(Code::ManifestMismatch), "The published manifest says the same in other bytes.";
    ManifestChanged "manifest-changed" 27 Manifest Works, "Another release with its own manifest, published and active: refused only where the earlier one is pinned.";

    AttestDown "attest-down" 23 Attestation Fails(Code::AttestationUnavailable), "Every attestation request is answered with 502 and a page of markup.";
    AttestFailsOnce "attest-502-once" 23 Attestation Works, "The first attestation request is answered with 502.";
    DocumentGarbage "document-garbage" 44 Attestation Fails(Code::ContrastMalformed), "The attestation document is not JSON.";
    DocumentDuplicate "document-duplicate" 44 Attestation Fails(Code::ContrastMalformed), "The attestation answer names its document twice.";
    TypeMissing "type-missing" 6 Attestation Works, "An older coordinator that does not name the kind of its report.";
    TypeOther "type-other" 6 Attestation Fails(Code::ContrastMalformed), "The document says that its report is Intel's.";
    TypeInsecure "type-insecure" 6 Attestation Fails(Code::ContrastMalformed), "The document names the kind that exists for tests only.";
    HistoryEmpty "history-empty" 27 Attestation Fails(Code::ContrastMalformed), "No manifest was ever set.";
    HistoryTwo "history-two" 27 Attestation Fails(Code::ManifestHistory), "The deployment had another manifest before.";
    HistoryHidden "history-hidden" 27 Attestation Fails(Code::ReportDataMismatch), "The earlier manifest is left out of the document.";
    NonceOther "nonce-other" 1 Attestation Fails(Code::ReportDataMismatch), "The report is for another challenge.";
    FivePartReportData "five-part-report-data" 2 Attestation Fails(Code::ReportDataMismatch), "The report also binds capabilities that nobody asked for.";
    MeshCaOther "mesh-ca-other" 4 Attestation Fails(Code::ReportDataMismatch), "The gateway's own mesh authority in the coordinator's place.";
    MeshCaLeaf "mesh-ca-leaf" 20 Attestation Fails(Code::MeshCa), "The mesh authority's certificate is not one of an authority, correctly bound.";
    MeshCaExpired "mesh-ca-expired" 20 Attestation Fails(Code::MeshCa), "The mesh authority's certificate has ended, correctly bound.";
    ReportTampered "report-tampered" 6 Attestation Fails(Code::SnpSignature), "One bit of the measurement is changed.";
    DebugGuest "debug-guest" 7 Attestation Fails(Code::DebugTd), "A correctly signed report of a guest that can be debugged.";
    LowPrivilege "low-privilege" 7 Attestation Fails(Code::SnpVmpl), "The report was asked for at another privilege level.";
    WrongMeasurement "wrong-measurement" 8 Attestation Fails(Code::MeasurementRefused), "Other software, correctly signed.";
    WrongIdKey "wrong-id-key" 8 Attestation Fails(Code::MeasurementRefused), "The guest was started with another identity block.";
    WrongHostData "wrong-host-data" 8 Attestation Fails(Code::MeasurementRefused), "The guest runs another policy than the coordinator's.";
    WrongTcb "wrong-tcb" 17 Attestation Fails(Code::SnpTcbRefused), "The platform is below the manifest's patch level.";
    MitigationMissing "mitigation-missing" 17 Attestation Fails(Code::SnpTcbRefused), "The platform lacks a mitigation that the manifest asks for.";
    SmtEnabled "smt-enabled" 17 Attestation Fails(Code::SnpGuestPolicy), "The platform shares cores between guests, which the manifest forbids.";
    OtherChip "other-chip" 5 Attestation Fails(Code::PlatformNotAllowed), "A chip that the manifest does not list.";
    PoliciesMissing "policies-missing" 11 Attestation Works, "The policy documents are left out; they prove nothing.";

    LookalikeRoot "lookalike-root" 20 Collateral Fails(Code::SnpChain), "A complete chain under another root of the same name.";
    OtherVcek "other-vcek" 20 Collateral Fails(Code::SnpSignature), "The certificate of another chip.";
    VcekMissing "vcek-missing" 23 Collateral Works, "The document lacks the chip's certificate; AMD's service has it.";
    CrlMissing "crl-missing" 23 Collateral Works, "The document lacks the revocation list; AMD's service has it.";
    KdsDown "kds-down" 23 Collateral Fails(Code::CollateralUnreachable), "The document lacks certificate and list, and AMD's service answers 503.";
    RevokedAsk "revoked-ask" 19 Collateral Fails(Code::SnpRevoked), "AMD's list names the issuer of the chip's certificate.";
    CrlStale "crl-stale" 19 Collateral Fails(Code::CrlExpired), "The list is past its next update.";
    CrlBadSignature "crl-bad-signature" 15 Collateral Fails(Code::CollateralSignature), "The list is signed by a stranger.";

    SecretDown "secret-down" 23 Exchange Fails(Code::SecretUnreachable), "Every exchange is answered with 502 and a page of markup.";
    SecretGarbage "secret-garbage" 44 Exchange Fails(Code::MalformedResponse), "The answer to the exchange lacks its encapsulated key.";
    SecretShort "secret-short" 28 Exchange Fails(Code::MalformedResponse), "The encapsulated key lacks a byte.";
    SecretSwapped "secret-swapped" 4 Exchange Fails(Code::SecretSignature), "The gateway encapsulates a secret of its own and keeps the signature.";
    SecretOtherKey "secret-other-key" 4 Exchange Fails(Code::SecretSignature), "The signature covers another client's public key.";
    SecretBadSignature "secret-bad-signature" 4 Exchange Fails(Code::SecretSignature), "The signature is another key's.";
    CertificateOtherCa "certificate-other-ca" 20 Exchange Fails(Code::MeshCertificate), "A certificate of another authority of the same name.";
    CertificateWorkload "certificate-workload" 5 Exchange Fails(Code::MeshCertificate), "Another workload of the deployment answers in the secret service's place.";
    CertificateNames "certificate-names" 5 Exchange Fails(Code::MeshCertificate), "The certificate lacks a name that the manifest gives to the secret service.";
    CertificateExpired "certificate-expired" 20 Exchange Fails(Code::MeshCertificate), "The certificate has ended.";
    CertificateClientOnly "certificate-client-only" 20 Exchange Fails(Code::MeshCertificate), "The certificate is for clients only.";
    CertificateP256 "certificate-p256" 31 Exchange Works, "The mesh key is on the smaller curve.";

    FieldDropped "field-dropped" 38 Answer Fails(Code::AuthFailed), "A sealed member is left out; those after it have numbers too high.";
    FieldsSwapped "fields-swapped" 38 Answer Fails(Code::AuthFailed), "Two sealed values have changed places.";
    FieldReplayed "field-replayed" 38 Answer Fails(Code::AuthFailed), "A sealed value stands in the place of the next.";
    FieldReflected "field-reflected" 38 Answer Fails(Code::ReflectedField), "A field of the request comes back as a field of the answer.";
    FieldRenamed "field-renamed" 38 Answer Fails(Code::MalformedEvent), "The member that carries the answer has another name of the same order.";
    TrailingFieldDropped "trailing-field-dropped" 38 Answer NotDetectable, "The last sealed member of the answer is left out; no counter shows it.";
    ForeignNonce "foreign-nonce" 32 Answer Fails(Code::ForeignField), "A field of another exchange.";
    ForeignSecret "foreign-secret" 32 Answer Fails(Code::ForeignField), "A field under another secret.";
    FlippedTag "flipped-tag" 30 Answer Fails(Code::AuthFailed), "One bit of an authentication tag is changed.";
    ShortIv "short-iv" 28 Answer Fails(Code::NotCiphertext), "An iv of eight bytes.";
    ShortCiphertext "short-ciphertext" 36 Answer Fails(Code::NotCiphertext), "A field too short for its tag.";
    ExtraPart "extra-part" 36 Answer Fails(Code::NotCiphertext), "A field of five parts.";
    ClearContent "clear-content" 36 Answer Fails(Code::NotCiphertext), "The member that carries the answer is in clear, the others are sealed.";
    ClearMember "clear-member" 36 Answer Fails(Code::NotCiphertext), "The gateway adds a member of its own in clear.";
    ClearAnswer "clear-answer" 36 Answer Fails(Code::NotCiphertext), "The whole answer is in clear.";
    EncryptedFalse "encrypted-false" 36 Answer Fails(Code::PlaintextDowngrade), "An answer in clear with status 200 that says it is not encrypted.";
    DuplicateMember "duplicate-member" 44 Answer Fails(Code::MalformedEvent), "An answer names a member twice.";
    UsageText "usage-text" 36 Answer Fails(Code::PlaintextDowngrade), "The usage in clear carries text.";
    IdText "id-text" 55 Answer Fails(Code::PlaintextDowngrade), "The id in clear is markup.";
    SealedGarbage "sealed-garbage" 44 Answer Fails(Code::MalformedEvent), "A sealed value opens to something that is not JSON.";
    OtherModel "other-model" 48 Answer Fails(Code::AnswerMixed), "The sealed answer names another model: the gateway sent the request elsewhere.";

    StreamEmpty "stream-empty" 39 Stream Fails(Code::Truncated), "The stream ends before its first event.";
    StreamCut "stream-cut" 39 Stream Fails(Code::Truncated), "The stream ends cleanly after half of the answer.";
    StreamCutLate "stream-cut-late" 39 Stream Fails(Code::Truncated), "The stream ends cleanly before its last event.";
    CutMidEvent "cut-mid-event" 39 Stream Fails(Code::Truncated), "The stream ends in the middle of an event.";
    ConnectionDrop "connection-drop" 39 Stream Fails(Code::Truncated), "The connection breaks after half of the answer.";
    NoDone "no-done" 39 Stream Fails(Code::Truncated), "The answer is complete but lacks its end mark.";
    FinishMissing "finish-missing" 39 Stream Fails(Code::Truncated), "The end mark comes without any reason for the end.";
    EventDropped "event-dropped" 38 Stream Fails(Code::AuthFailed), "One event is left out.";
    EventReplayed "event-replayed" 38 Stream Fails(Code::AuthFailed), "One event comes twice.";
    EventsSwapped "events-swapped" 38 Stream Fails(Code::AuthFailed), "Two events have changed places.";
    ClearEvent "clear-event" 36 Stream Fails(Code::NotCiphertext), "An event in clear among the sealed ones.";
    ErrorEvent "error-event" 41 Stream Fails(Code::UpstreamError), "An error in clear in the middle of the stream.";
    MalformedEvent "malformed-event" 44 Stream Fails(Code::MalformedEvent), "An event that is not JSON.";
    HugeEvent "huge-event" 43 Stream Fails(Code::LimitExceeded), "One event of more than 16 million bytes.";
    DataAfterDone "data-after-done" 40 Stream Works, "An event in clear after the end mark, to be ignored.";
    SseComments "sse-comments" 43 Stream Works, "Comments, ids and retry times between the data, and no space after a colon.";
    SseCrlf "sse-crlf" 43 Stream Works, "Lines end in CR LF.";
    ByteSplitWrites "byte-split-writes" 43 Stream Works, "Every byte is sent by itself.";
    LowercaseDone "lowercase-done" 43 Stream Works, "The end mark in small letters.";
    SlowStart "slow-start" 23 Stream Works, "The first byte of the answer takes its time.";

    UnknownSecretOnce "unknown-secret-once" 33 Http Works, "The worker has lost the secret; after a new exchange it knows the new one.";
    UnknownSecret "unknown-secret" 33 Http Fails(Code::StaleKey), "The worker never knows the secret.";
    ExpiredSecret "expired-secret" 33 Http Fails(Code::StaleKey), "Secrets end as soon as they are exchanged.";
    ResetOnce "reset-once" 49 Http Works, "The connection is reset before the first byte of an answer, once.";
    ResetAlways "reset-always" 49 Http Fails(Code::ConnectionFailed), "The connection is reset before the first byte of every answer.";
    GatewayHtml "gateway-html" 41 Http Fails(Code::UpstreamUnavailable), "Every request is answered with 502 and a page of markup and terminal escapes.";
    RateLimited "rate-limited" 49 Http Fails(Code::UpstreamRateLimited), "Every request is answered with 429.";
    PaymentRequired "payment-required" 41 Http Fails(Code::UpstreamPayment), "Every request is answered with 402.";
    Unavailable "unavailable" 49 Http Fails(Code::UpstreamUnavailable), "Every request is answered with 503 in the proxies' own form.";
    SealedError "sealed-error" 41 Http Fails(Code::UpstreamError), "The model refuses every request with 400 and a sealed reason.";
    Redirect "redirect" 42 Http Fails(Code::RedirectRefused), "Every request is answered with a redirect.";
    Compressed "compressed" 42 Http Fails(Code::ContentEncoding), "The answer says that it is compressed.";
    WrongContentType "wrong-content-type" 42 Http Fails(Code::UnexpectedContentType), "The answer says that it is a page.";
    GpuRevoked "gpu-revoked" 12 Http Fails(Code::GpuStatusRefused), "NVIDIA revoked the worker's GPU long ago: the worker obeys the client's policy and refuses.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        let mut names = BTreeSet::new();
        for defect in Defect::all() {
            assert!(names.insert(defect.name()), "{}", defect.name());
            assert_eq!(Defect::parse(defect.name()), Some(*defect));
            assert!((1..=68).contains(&defect.threat()), "{}", defect.name());
            assert!(defect.name().bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit()));
            assert!(defect.description().ends_with('.') && defect.description().len() > 15);
        }
        assert_eq!(Defect::parse("no-such-defect"), None);
    }
}
