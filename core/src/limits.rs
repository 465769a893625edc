//! Every bound of the core as a named constant (threats section 5; README decision 13: the smaller bound wins unless captured
//! evidence is larger). Units are in the names. A breach is `limit_exceeded`, naming the limit.

/// A provider's attestation answer.
pub const ATTESTATION_RESPONSE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The attestation answer of a Contrast coordinator: it holds every manifest and policy document (privatemode.md 3.1).
pub const CONTRAST_ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Manifests in one history.
pub const CONTRAST_MAX_MANIFESTS: usize = 64;
/// One manifest (privatemode.md 2.1).
pub const CONTRAST_MANIFEST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Policies of one manifest, and policy documents in one answer.
pub const CONTRAST_MAX_POLICIES: usize = 4096;
/// The answer of a key exchange (privatemode.md 2.3); a genuine one has 3 KiB.
pub const SECRET_ANSWER_MAX_BYTES: usize = 64 * 1024;
/// A provider's model list.
pub const MODEL_LIST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// One TDX quote, padding included (attestation.md general decision 6).
pub const TDX_QUOTE_MAX_BYTES: usize = 16 * 1024;
/// One DER certificate.
pub const CERTIFICATE_MAX_BYTES: usize = 16 * 1024;
/// Certificates in one chain.
pub const CHAIN_MAX_CERTIFICATES: usize = 10;
/// One PEM or DER chain.
pub const CHAIN_MAX_BYTES: usize = 64 * 1024;
/// TCB info JSON.
pub const TCB_INFO_MAX_BYTES: usize = 512 * 1024;
/// QE identity JSON.
pub const QE_IDENTITY_MAX_BYTES: usize = 64 * 1024;
/// One certificate revocation list.
pub const CRL_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Entries of one certificate revocation list.
pub const CRL_MAX_ENTRIES: usize = 200_000;
/// An event log as text.
pub const EVENT_LOG_MAX_BYTES: usize = 1024 * 1024;
/// Events in one event log (attestation.md general decision 6 is smaller than threats.md).
pub const EVENT_LOG_MAX_EVENTS: usize = 1024;
/// A compose file or manifest.
pub const COMPOSE_MAX_BYTES: usize = 1024 * 1024;
/// One GPU or switch report.
pub const GPU_REPORT_MAX_BYTES: usize = 64 * 1024;
/// GPUs in one document.
pub const GPU_MAX_DEVICES: usize = 16;
/// Switches in one document (attestation.md general decision 6).
pub const SWITCH_MAX_DEVICES: usize = 8;
/// One reference integrity manifest.
pub const RIM_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Reference integrity manifests in one appraisal: two per device at most.
pub const RIM_MAX_DOCUMENTS: usize = 48;
/// Depth of nested XML elements; a manifest has six.
pub const XML_MAX_DEPTH: usize = 16;
/// Elements, attributes and texts of one XML document; a manifest has about 700.
pub const XML_MAX_NODES: usize = 20_000;
/// Attributes of one XML element.
pub const XML_MAX_ATTRIBUTES: usize = 128;
/// One OCSP answer.
pub const OCSP_MAX_BYTES: usize = 64 * 1024;
/// OCSP answers in one appraisal: three per device and per manifest.
pub const OCSP_MAX_ANSWERS: usize = 256;
/// Longest use of an OCSP answer after its issue, in seconds, whatever it says itself.
pub const OCSP_MAX_AGE_S: u64 = 7 * 24 * 3600;
/// What NVIDIA said about devices, as one file. Genuine manifests have 100 to 250 KiB, OCSP answers 2 KiB.
pub const GPU_ENDORSEMENTS_MAX_BYTES: usize = 16 * 1024 * 1024;
/// An answer of NVIDIA's attestation service with all its tokens.
pub const NRAS_MAX_BYTES: usize = 4 * 1024 * 1024;
/// One signed token (attestation.md general decision 6).
pub const JWT_MAX_BYTES: usize = 1024 * 1024;
/// A key list in JWKS form.
pub const JWKS_MAX_BYTES: usize = 1024 * 1024;
/// Keys of one key list.
pub const JWKS_MAX_KEYS: usize = 64;
/// Depth of nested JSON containers.
pub const JSON_MAX_DEPTH: usize = 64;
/// Members of one JSON object.
pub const JSON_MAX_MEMBERS: usize = 10_000;
/// Values in one JSON document that is parsed into a tree: each can cost 256 bytes in memory, so that a document of the largest size would
/// cost far more than itself. Captured documents have fewer than 3,100. Answers are read without a tree and have no such bound.
pub const JSON_MAX_VALUES: usize = 65_536;
/// Depth of nested ASN.1 values.
pub const ASN1_MAX_DEPTH: usize = 16;
/// ASN.1 values in one structure (revocation lists have their own bound).
pub const ASN1_MAX_ELEMENTS: usize = 10_000;
/// Body of a request before sealing.
pub const REQUEST_MAX_BYTES: usize = 50 * 1024 * 1024;
/// Parts of one form.
pub const FORM_MAX_PARTS: usize = 256;
/// Name of a part or of a file in a form.
pub const FORM_NAME_MAX_BYTES: usize = 256;
/// Header lines of one part of a form.
pub const FORM_PART_HEADERS_MAX_BYTES: usize = 4 * 1024;
/// One line of an event stream.
pub const SSE_LINE_MAX_BYTES: usize = 1024 * 1024;
/// One event of an event stream.
pub const SSE_EVENT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Lines of one event of an event stream.
pub const SSE_EVENT_MAX_LINES: usize = 4096;
/// One encrypted field, as hex text.
pub const SEALED_FIELD_MAX_BYTES: usize = 1024 * 1024;
/// A whole answer, raw bytes.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
/// What is kept of an error body that can be sealed: more than twice what is kept of its words (privatemode.md 6.4).
pub const SEALED_ERROR_KEPT_BYTES: usize = 256 * 1024;
/// What is kept of an error body.
pub const ERROR_BODY_KEPT_BYTES: usize = 8 * 1024;
/// A response signature answer.
pub const SIGNATURE_RESPONSE_MAX_BYTES: usize = 64 * 1024;
/// Longest life of a verdict, in seconds.
pub const VERDICT_MAX_AGE_S: u64 = 30 * 60;
/// A saved report.
pub const REPORT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// One text of a report.
pub const REPORT_TEXT_MAX_BYTES: usize = 8 * 1024;
/// Entries of one list of a report.
pub const REPORT_LIST_MAX: usize = 4096;
/// An evidence bundle: its JSON form, or the files of its directory form together.
pub const EVIDENCE_BUNDLE_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Sets of vendor collateral in one evidence bundle.
pub const EVIDENCE_COLLATERAL_MAX: usize = 64;
/// One file name in the directory form of an evidence bundle.
pub const EVIDENCE_FILE_NAME_MAX_BYTES: usize = 64;
/// Choices of one answer that are followed.
pub const ANSWER_MAX_CHOICES: usize = 128;
/// Re-verifications that one request may cause.
pub const REVERIFICATIONS_PER_REQUEST: u32 = 1;
/// Attestation attempts on 429 and 5xx, each with a new nonce.
pub const ATTESTATION_ATTEMPTS: u32 = 3;
/// Largest file of pins.
pub const PINS_FILE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most pins in a file.
pub const PINS_MAX: usize = 256;
/// Largest policy document.
pub const POLICY_MAX_BYTES: usize = 1024 * 1024;
