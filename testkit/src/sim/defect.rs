//! Everything that a simulated provider can do wrong, by name (threats.md section 4).

use proveil_core::error::Code;

/// Which part of the service a defect is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The attestation answer.
    Attestation,
    /// Intel's collateral.
    Collateral,
    /// What NVIDIA says about the GPUs. It is fetched only by a policy that requires it: the outcome is that under
    /// [`Defect::ENDORSED_POLICY`].
    Endorsements,
    /// AMD's certificates. Only `verify snp --fetch` asks for them.
    Kds,
    /// The streamed answer.
    Answer,
    /// HTTP around the answer.
    Http,
    /// The response signature.
    Signature,
}

/// What a correct client makes of a defect under the preset `standard`, with the default [`super::Shape::Near`]. One row needs more:
/// [`Defect::EventLogMissing`] is an error for a policy with a reference value of the application; `standard` lists it as not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong: the chat must work (the row tests that clients are not too strict).
    Works,
    /// The protocol cannot show it: the chat works, and the report must have said so.
    NotDetectable,
    /// It ends with this code.
    Fails(Code),
}

/// Makes the type of a provider's defects from a table: variant, name, threat number, stage, what a correct client does, description.
macro_rules! defects {
    ($( #[$about:meta] )* $type:ident in $stages:ident {
        $( $variant:ident $name:literal $threat:literal $stage:ident $outcome:expr, $text:literal; )+
    }) => {
        $( #[$about] )*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $( #[doc = $text] $variant, )+
        }

        impl $type {
            const fn row(self) -> (&'static str, u8, $stages, Outcome, &'static str) {
                match self { $( $type::$variant => ($name, $threat, $stages::$stage, $outcome, $text), )+ }
            }

            /// Every defect, in the order of the stages.
            pub const fn all() -> &'static [$type] {
                &[ $( $type::$variant, )+ ]
            }

            /// The defect with this name.
            pub fn parse(name: &str) -> Option<$type> {
                $type::all().iter().copied().find(|defect| defect.name() == name)
            }

            /// Name for `--defect`.
            pub const fn name(self) -> &'static str {
                self.row().0
            }

            /// Number of the threat in threats.md: 1 is T01.
            pub const fn threat(self) -> u8 {
                self.row().1
            }

            /// Where it happens.
            pub const fn stage(self) -> $stages {
                self.row().2
            }

            /// What a correct client makes of it.
            pub const fn outcome(self) -> Outcome {
                self.row().3
            }

            /// One sentence.
            pub const fn description(self) -> &'static str {
                self.row().4
            }

            /// True when nothing is wrong and a client must carry on.
            pub const fn is_benign(self) -> bool {
                matches!(self.outcome(), Outcome::Works)
            }
        }
    };
}

pub(super) use defects;

use Outcome::{Fails, NotDetectable, Works};

defects! {
    /// One way in which a simulated Venice misbehaves.
    Defect in Stage {
    NonceReplay "nonce-replay" 1 Attestation Fails(Code::NonceEchoMismatch), "Serves an attestation made for an earlier nonce.";
    NonceEchoOnly "nonce-echo-only" 2 Attestation Fails(Code::ReportDataNonceMismatch), "Echoes the nonce in JSON while the quote carries another.";
    KeySwap "key-swap" 4 Attestation Fails(Code::ReportDataIdentityMismatch), "Puts the relay's own key and address into the answer; the quote is for the enclave's.";
    KeyMissing "key-missing" 4 Attestation Fails(Code::NoSigningKey), "Names no public key.";
    KeyOffCurve "key-off-curve" 28 Attestation Fails(Code::KeyInvalid), "The public key is not a point of the curve.";
    ConflictingKeys "conflicting-keys" 4 Attestation Fails(Code::ConflictingFields), "The two members that name the public key disagree.";
    ConflictingQuotes "conflicting-quotes" 4 Attestation Fails(Code::ConflictingFields), "Carries two different quotes.";
    AddressMismatch "address-mismatch" 4 Attestation Fails(Code::AddressMismatch), "The signing address belongs to another key.";
    DivertedEnclave "diverted-enclave" 5 Attestation Fails(Code::StaleKey), "Genuine evidence of another model's enclave; the asked one cannot open what is sealed to it.";
    TamperedQuote "tampered-quote" 6 Attestation Fails(Code::QuoteSignature), "One byte of a measurement in the quote is changed.";
    TruncatedQuote "truncated-quote" 6 Attestation Fails(Code::QuoteMalformed), "The quote lacks its padding and the last hundred bytes before it.";
    TrailingBytes "trailing-bytes" 6 Attestation Fails(Code::QuoteMalformed), "The quote is followed by bytes that are not zero.";
    WrongTeeType "wrong-tee-type" 6 Attestation Fails(Code::NotTdx), "A correctly signed quote that says it is SGX.";
    QuoteConfusion "quote-confusion" 6 Attestation Fails(Code::ReportDataIdentityMismatch), "The compose manager's quote in the place of the main one.";
    QuoteMissing "quote-missing" 11 Attestation Fails(Code::QuoteMissing), "Says verified without any quote.";
    DebugTd "debug-td" 7 Attestation Fails(Code::DebugTd), "A correctly signed quote of an enclave in debug mode.";
    MigratableTd "migratable-td" 7 Attestation Fails(Code::TdAttributes), "A correctly signed quote of an enclave that can be migrated.";
    ForbiddenXfam "forbidden-xfam" 7 Attestation Fails(Code::TdXfam), "A correctly signed quote with a reserved extended feature.";
    ServiceTd "service-td" 7 Attestation Fails(Code::ServiceTd), "A correctly signed version 5 quote bound to a service TD.";
    ReportDataPadding "reportdata-padding" 6 Attestation Fails(Code::ReportDataPaddingNonzero), "Report data with bytes set that must be zero, correctly signed.";
    LookalikeRoot "lookalike-root" 20 Attestation Fails(Code::PckChain), "A complete chain under another root of the same name.";
    AkNotBound "ak-not-bound" 18 Attestation Fails(Code::AkBinding), "The quoting enclave's report binds another attestation key.";
    OtherQuotingEnclave "other-quoting-enclave" 18 Attestation Fails(Code::QeIdentity), "The quoting enclave is not Intel's.";
    OtherTdxModule "other-tdx-module" 18 Attestation Fails(Code::TdxModule), "The TDX module is signed by somebody else.";
    VerifiedFalse "verified-false" 11 Attestation Fails(Code::ServerSaysUnverified), "The provider says that the enclave is not verified.";
    VerifiedMissing "verified-missing" 11 Attestation Fails(Code::ServerSaysUnverified), "The provider does not say whether the enclave is verified.";
    ModelMismatch "model-mismatch" 48 Attestation Fails(Code::ModelMismatch), "The attestation is for another model id.";
    DuplicateMember "duplicate-member" 10 Attestation Fails(Code::MalformedField), "The answer names a member twice with different values.";
    EventLogPayload "event-log-payload" 9 Attestation Fails(Code::EventDigestMismatch), "The payload of an event is changed, its digest kept.";
    EventLogDuplicate "event-log-duplicate" 9 Attestation Fails(Code::DuplicateEvent), "A second compose-hash event, measured by the guest.";
    EventLogReordered "event-log-reordered" 9 Attestation Fails(Code::Rtmr3Mismatch), "Two events have changed places.";
    EventLogMissing "event-log-missing" 9 Attestation Fails(Code::RequiredEvidenceMissing), "No event log and no application description.";
    ComposeEdited "compose-edited" 9 Attestation Fails(Code::ComposeHashMismatch), "The application description is not the measured one.";
    OtherConfigId "other-config-id" 9 Attestation Fails(Code::MrConfigIdMismatch), "MR_CONFIG_ID is of another application, correctly signed.";
    MeasurementCopy "measurement-copy" 9 Attestation Fails(Code::TcbInfoCopyMismatch), "A copy of a measurement beside the quote is changed.";
    ComposeManager "compose-manager" 9 Attestation Fails(Code::ComposeManagerBinding), "The compose manager's action list is not the one in its quote.";
    OhttpKey "ohttp-key" 4 Attestation Fails(Code::OhttpKeyConfig), "The OHTTP key configuration is not signed as stated.";
    GpuMissing "gpu-missing" 12 Attestation Fails(Code::GpuEvidenceMissing), "An empty list of GPU evidence.";
    GpuDuplicate "gpu-duplicate" 12 Attestation Fails(Code::GpuDuplicate), "One GPU is presented as two.";
    GpuOtherNonce "gpu-other-nonce" 12 Attestation Fails(Code::GpuNonceMismatch), "A GPU report for another nonce, correctly signed.";
    GpuBadSignature "gpu-bad-signature" 12 Attestation Fails(Code::GpuSignature), "A measurement in a GPU report is changed.";
    GpuFirmwareId "gpu-firmware-id" 12 Attestation Fails(Code::GpuFirmwareId), "A GPU report names another firmware identity than its certificate.";
    GpuLookalikeRoot "gpu-lookalike-root" 20 Attestation Fails(Code::GpuChain), "A GPU of another root of the same name.";
    SoftwareUpdated "software-updated" 27 Attestation Works, "Another release of the software, measured as it should be: refused only where the earlier one is pinned or named by the policy.";
    AttestationFailsTwice "attestation-502-twice" 23 Attestation Works, "The first two attestation requests are answered with 502.";
    AttestationDown "attestation-down" 23 Attestation Fails(Code::AttestationUnavailable), "Every attestation request is answered with 502.";

    TcbOutOfDate "tcb-out-of-date" 17 Collateral Fails(Code::TcbStatusRefused), "Intel lists the platform as out of date.";
    TcbRevoked "tcb-revoked" 17 Collateral Fails(Code::TcbStatusRefused), "Intel lists the platform as revoked.";
    TcbNoLevel "tcb-no-level" 17 Collateral Fails(Code::TcbNoMatchingLevel), "The platform is below every listed level.";
    CollateralExpired "collateral-expired" 16 Collateral Fails(Code::CollateralExpired), "TCB info past its next update.";
    CollateralFuture "collateral-future" 16 Collateral Fails(Code::CollateralNotYetValid), "TCB info issued in the future.";
    EvalNumberRollback "eval-number-rollback" 16 Collateral Fails(Code::TcbEvaluationNumber), "Signed and current, but with an old evaluation number.";
    CollateralBadSignature "collateral-bad-signature" 15 Collateral Fails(Code::CollateralSignature), "TCB info signed by a stranger.";
    CollateralPckSigned "collateral-pck-signed" 15 Collateral Fails(Code::CollateralSignature), "TCB info signed by the platform's own PCK certificate.";
    QeIdentityBadSignature "qe-identity-bad-signature" 15 Collateral Fails(Code::CollateralSignature), "QE identity signed by a stranger.";
    CrlBadSignature "crl-bad-signature" 15 Collateral Fails(Code::CollateralSignature), "The list of revoked PCK certificates is signed by a stranger.";
    CollateralOtherPlatform "collateral-other-platform" 20 Collateral Fails(Code::CollateralMismatch), "TCB info of another platform type.";
    CollateralDown "collateral-down" 23 Collateral Fails(Code::CollateralUnreachable), "The collateral service answers 503.";
    CollateralHtml "collateral-html" 23 Collateral Fails(Code::CollateralUnreachable), "A captive portal answers in the collateral service's place.";
    CrlExpired "crl-expired" 19 Collateral Fails(Code::CrlExpired), "The list of revoked PCK certificates is past its next update.";
    PckRevoked "pck-revoked" 19 Collateral Fails(Code::PckRevoked), "The platform's certificate is revoked.";
    IntermediateRevoked "intermediate-revoked" 19 Collateral Fails(Code::PckRevoked), "The PCK Platform CA is revoked.";

    RimDown "rim-down" 23 Endorsements Fails(Code::CollateralUnreachable), "The manifest service answers 503.";
    RimMissing "rim-missing" 23 Endorsements Fails(Code::CollateralMissing), "The manifest service knows no manifest.";
    RimHtml "rim-html" 23 Endorsements Fails(Code::CollateralMalformed), "A captive portal answers in the manifest service's place.";
    RimOtherId "rim-other-id" 20 Endorsements Fails(Code::CollateralUnreachable), "The manifest service answers with another manifest than was asked for.";
    RimOtherVersion "rim-other-version" 20 Endorsements Fails(Code::CollateralMismatch), "The manifest is of another version, correctly signed.";
    RimOtherValues "rim-other-values" 12 Endorsements Fails(Code::GpuMeasurement), "The GPUs do not measure what their manifests say, as in developer mode.";
    RimExpired "rim-expired" 16 Endorsements Fails(Code::CollateralExpired), "The signer's certificate of the manifests has ended.";
    RimBadSignature "rim-bad-signature" 15 Endorsements Fails(Code::CollateralSignature), "A manifest signed by a stranger.";
    RimLookalikeRoot "rim-lookalike-root" 20 Endorsements Fails(Code::CollateralSignature), "A manifest under another root of the same name.";
    RimSignerRevoked "rim-signer-revoked" 19 Endorsements Fails(Code::GpuRevoked), "The signer of the manifests is revoked.";
    OcspDown "ocsp-down" 23 Endorsements Fails(Code::CollateralUnreachable), "The OCSP responder answers 503.";
    OcspUnknown "ocsp-unknown" 19 Endorsements Fails(Code::CollateralMissing), "The OCSP responder knows none of the certificates.";
    OcspExpired "ocsp-expired" 19 Endorsements Fails(Code::CollateralExpired), "OCSP answers past their next update.";
    OcspOtherNonce "ocsp-other-nonce" 19 Endorsements Fails(Code::CollateralMismatch), "OCSP answers to an earlier request.";
    OcspBadSignature "ocsp-bad-signature" 15 Endorsements Fails(Code::CollateralSignature), "OCSP answers signed by a stranger.";
    GpuRevoked "gpu-revoked" 19 Endorsements Fails(Code::GpuRevoked), "NVIDIA has revoked the GPUs' certificates.";
    GpuOnHold "gpu-on-hold" 19 Endorsements Fails(Code::GpuRevoked), "NVIDIA has put the GPUs' certificates on hold.";
    NrasDown "nras-down" 23 Endorsements Fails(Code::CollateralUnreachable), "NVIDIA's attestation service answers 503.";
    NrasRefuses "nras-refuses" 12 Endorsements Fails(Code::NrasRefused), "NVIDIA's attestation service does not call the evidence right.";
    NrasOtherNonce "nras-other-nonce" 1 Endorsements Fails(Code::NrasToken), "A genuine token for an earlier nonce.";
    NrasOtherDevice "nras-other-device" 12 Endorsements Fails(Code::NrasToken), "A genuine token about other GPUs.";
    NrasExpired "nras-expired" 14 Endorsements Fails(Code::CollateralExpired), "A token that has ended.";
    NrasUnknownKey "nras-unknown-key" 14 Endorsements Fails(Code::NrasToken), "A token that names a key which the key list does not have.";
    NrasAlgorithm "nras-algorithm" 14 Endorsements Fails(Code::NrasToken), "A token that says it needs no signature.";
    NrasBadSignature "nras-bad-signature" 14 Endorsements Fails(Code::NrasToken), "A token signed by a stranger.";
    NrasLookalike "nras-lookalike" 20 Endorsements Fails(Code::NrasToken), "A key list certified by another authority of the same name.";
    JwksDown "jwks-down" 23 Endorsements Fails(Code::CollateralUnreachable), "The key list of NVIDIA's attestation service cannot be had.";

    KdsDown "kds-down" 23 Kds Fails(Code::CollateralUnreachable), "AMD's key distribution service answers 503.";
    KdsLimited "kds-limited" 23 Kds Fails(Code::CollateralUnreachable), "AMD's key distribution service answers every request with 429.";
    KdsLimitedTwice "kds-limited-twice" 23 Kds Works, "AMD's key distribution service answers the first two requests with 429.";
    KdsHtml "kds-html" 23 Kds Fails(Code::CollateralMalformed), "A captive portal answers in the key distribution service's place.";
    KdsOtherChip "kds-other-chip" 20 Kds Fails(Code::SnpSignature), "The certificate of another chip.";

    PlaintextDelta "plaintext-delta" 36 Answer Fails(Code::PlaintextDowngrade), "One piece of the answer is in clear.";
    PlaintextAnswer "plaintext-answer" 36 Answer Fails(Code::PlaintextDowngrade), "The whole answer is in clear.";
    PlaintextToolCall "plaintext-tool-call" 36 Answer Fails(Code::PlaintextDowngrade), "A tool call in clear within an encrypted answer.";
    PlaintextReasoning "plaintext-reasoning" 36 Answer Fails(Code::PlaintextDowngrade), "Reasoning in clear within an encrypted answer.";
    WhitespaceDelta "whitespace-delta" 36 Answer Fails(Code::PlaintextDowngrade), "A line break in clear within an encrypted answer.";
    HexPlaintext "hex-plaintext" 36 Answer Fails(Code::PlaintextDowngrade), "Clear text that looks like hex.";
    FlippedTag "flipped-tag" 30 Answer Fails(Code::AuthFailed), "One bit of an authentication tag is changed.";
    OtherClientKey "other-client-key" 32 Answer Fails(Code::AuthFailed), "One piece is sealed to another client's key.";
    InvalidPoint "invalid-point" 28 Answer Fails(Code::InvalidPoint), "A piece carries a key that is not on the curve.";
    InvalidUtf8 "invalid-utf8" 36 Answer Fails(Code::InvalidUtf8), "A piece opens to bytes that are not text.";
    ForgedChunk "forged-chunk" 37 Answer NotDetectable, "A relay adds a piece of its own, correctly sealed to the client's key.";
    ChunkReorder "chunk-reorder" 38 Answer NotDetectable, "Two pieces have changed places.";
    ChunkDuplicate "chunk-duplicate" 38 Answer NotDetectable, "One piece comes twice.";
    ChunkDrop "chunk-drop" 38 Answer NotDetectable, "One piece is left out.";
    AnswerSplice "answer-splice" 38 Answer Fails(Code::AnswerMixed), "A piece carries the id of another answer.";
    NoDone "no-done" 39 Answer Fails(Code::Truncated), "The answer is complete but lacks its end mark.";
    StreamCut "stream-cut" 39 Answer Fails(Code::Truncated), "The stream ends cleanly after half of the answer.";
    CutMidEvent "cut-mid-event" 39 Answer Fails(Code::Truncated), "The stream ends in the middle of an event.";
    ConnectionDrop "connection-drop" 39 Answer Fails(Code::Truncated), "The connection breaks after half of the answer.";
    DataAfterDone "data-after-done" 40 Answer Works, "An event in clear after the end mark, to be ignored.";
    ErrorEvent "error-event" 41 Answer Fails(Code::UpstreamError), "An error object in the middle of the stream.";
    MalformedEvent "malformed-event" 44 Answer Fails(Code::MalformedEvent), "An event that is not JSON.";
    DeepJson "deep-json" 44 Answer Fails(Code::MalformedEvent), "An event nested ten thousand deep.";
    HugeEvent "huge-event" 43 Answer Fails(Code::LimitExceeded), "One event of five million bytes.";
    SseCrlf "sse-crlf" 43 Answer Works, "Lines end in CR LF.";
    SseCr "sse-cr" 43 Answer Works, "Lines end in CR.";
    SseComments "sse-comments" 43 Answer Works, "Comments, event names, ids and retry times between the data.";
    SseBom "sse-bom" 43 Answer Works, "A byte order mark before the first event.";
    ByteSplitWrites "byte-split-writes" 43 Answer Works, "Every byte is sent by itself.";
    SplitCharacter "split-character" 36 Answer Works, "A character is divided between two pieces.";
    SeveralChoices "several-choices" 38 Answer Works, "Two choices, interleaved.";
    BigDeltas "big-deltas" 43 Answer Works, "Pieces of 64 KiB.";

    RotateKeyOnce "rotate-key-once" 33 Http Works, "The enclave changes its key after the first attestation; the next one is right.";
    RotateKeyAlways "rotate-key-always" 33 Http Fails(Code::StaleKey), "The enclave changes its key before every chat.";
    RateLimited "rate-limited" 49 Http Fails(Code::UpstreamRateLimited), "Every chat is answered with 429.";
    PaymentRequired "payment-required" 41 Http Fails(Code::UpstreamPayment), "Every chat is answered with 402.";
    Unavailable "unavailable" 49 Http Fails(Code::UpstreamUnavailable), "Every chat is answered with 503.";
    HttpErrorHtml "http-error-html" 41 Http Fails(Code::UpstreamUnavailable), "Every chat is answered with 502 and a page of markup and terminal escapes.";
    Redirect "redirect" 42 Http Fails(Code::RedirectRefused), "Every chat is answered with a redirect.";
    GzipBody "gzip-body" 42 Http Fails(Code::ContentEncoding), "The answer is compressed.";
    WrongContentType "wrong-content-type" 42 Http Fails(Code::UnexpectedContentType), "The answer says that it is JSON.";
    SlowStart "slow-start" 23 Http Works, "The first byte of the answer takes its time.";

    SignatureMissing "signature-missing" 37 Signature Fails(Code::SignatureUnavailable), "There is no signature for any answer.";
    SignatureAltered "signature-altered" 37 Signature Fails(Code::SignerMismatch), "The signed text is changed after signing.";
    SignatureOtherKey "signature-other-key" 37 Signature Fails(Code::SignerMismatch), "The signature is a relay's own.";
}
}

impl Defect {
    /// A policy that asks for everything that NVIDIA says.
    pub const ENDORSED_POLICY: &str =
        r#"{"schema":"proveil.policy/v1","gpu":{"require_rim":true,"require_ocsp":true,"nras":"required"}}"#;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        for defect in Defect::all() {
            assert_eq!(Defect::parse(defect.name()), Some(*defect), "{}", defect.name());
            assert!((1..=68).contains(&defect.threat()), "{}", defect.name());
            assert!(defect.name().bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
        assert_eq!(Defect::parse("no-such-defect"), None);
    }
}
