//! The registry of error causes: one row each, the only place where numbers, slugs and messages are written.
//!
//! Everything else that names codes (header, Python and TypeScript tables, UniFFI enum, `tests/vectors/errors.json`, `docs/errors/`)
//! is generated from here by `cargo xtask gen`. Numbers are never reused; a retired row moves to `RETIRED`.

/// Family of an error, the same name in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 101-129: the caller's request cannot be sent as it is.
    Input,
    /// 130-199: configuration, policy or files.
    Config,
    /// 2xx: the evidence says no.
    Verification,
    /// 3xx: could not be checked now.
    Indeterminate,
    /// 4xx: an answer that is not what the proven key holder sent.
    Integrity,
    /// 5xx: upstream, transport or protocol trouble, truncation.
    Protocol,
    /// 6xx: a bound was exceeded.
    Limit,
    /// 7xx: the API was used against its rules.
    Misuse,
    /// 8xx: local access control.
    Access,
    /// 9xx: a bug in Proveil.
    Internal,
}

impl Class {
    /// Name of the error class in every language binding.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Input => "InputError",
            Class::Config => "ConfigError",
            Class::Verification => "VerificationError",
            Class::Indeterminate => "IndeterminateError",
            Class::Integrity => "IntegrityError",
            Class::Protocol => "ProtocolError",
            Class::Limit => "LimitError",
            Class::Misuse => "MisuseError",
            Class::Access => "AccessError",
            Class::Internal => "InternalError",
        }
    }

    const fn of(number: u16) -> Class {
        match number {
            101..=129 => Class::Input,
            130..=199 => Class::Config,
            200..=299 => Class::Verification,
            300..=399 => Class::Indeterminate,
            400..=499 => Class::Integrity,
            500..=599 => Class::Protocol,
            600..=699 => Class::Limit,
            700..=799 => Class::Misuse,
            800..=899 => Class::Access,
            _ => Class::Internal,
        }
    }
}

/// One row of the registry.
#[derive(Debug)]
pub struct Row {
    /// The code this row describes.
    pub code: Code,
    /// Number: 101-999, first digit is the family.
    pub number: u16,
    /// Stable machine name, snake_case.
    pub slug: &'static str,
    /// True when the same call may succeed later without a change by the caller.
    pub retryable: bool,
    /// HTTP status that the local proxy and the drop-in clients answer with.
    pub http: u16,
    /// Exit code of the command line.
    pub exit: u8,
    /// What happened, one sentence.
    pub message: &'static str,
    /// What to do next, one sentence.
    pub hint: &'static str,
}

macro_rules! registry {
    ($( $number:literal $name:ident $slug:literal $retry:literal $http:literal $exit:literal $message:literal $hint:literal ; )+) => {
        /// A cause of failure. The number is stable across versions and languages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code {
            $( #[doc = $message] $name = $number, )+
        }

        /// Every code, ascending by number.
        pub static REGISTRY: &[Row] = &[
            $( Row { code: Code::$name, number: $number, slug: $slug, retryable: $retry, http: $http, exit: $exit, message: $message, hint: $hint }, )+
        ];

        impl Code {
            /// The registry row of this code.
            pub fn row(self) -> &'static Row {
                match self { $( Code::$name => &const { Row { code: Code::$name, number: $number, slug: $slug, retryable: $retry, http: $http, exit: $exit, message: $message, hint: $hint } }, )+ }
            }
        }
    };
}

/// Numbers that were published once and must not be used again, with their slug.
pub static RETIRED: &[(u16, &str)] = &[];

registry! {
    // 101-129 input: number, name, slug, retryable, http, exit, message, hint
    101 InvalidArgument "invalid_argument" false 400 2 "An argument is not valid." "Read the expected form in the details.";
    102 MalformedRequest "malformed_request" false 400 2 "The request body is not a valid JSON object." "Send one JSON object in UTF-8.";
    103 DuplicateMember "duplicate_member" false 400 2 "The request body names a member twice." "Name each member once.";
    104 UnknownProvider "unknown_provider" false 400 2 "No such provider." "Use one of the providers named in the details.";
    105 UnknownModel "unknown_model" false 400 2 "The provider does not offer this model." "List the models with `proveil models`.";
    106 ModelNotE2ee "model_not_e2ee" false 400 2 "The model cannot be used with end-to-end encryption, so nothing was sent." "Choose a model that the catalogue marks as e2ee.";
    107 ModelSuffix "model_suffix" false 400 2 "A feature suffix on an encrypted model would be sent in clear." "Remove everything from the colon on.";
    108 E2eeDisabled "e2ee_disabled" false 400 2 "The request turns end-to-end encryption off." "Remove `enable_e2ee: false`.";
    109 WebSearch "web_search" false 400 2 "Web search and scraping cannot be used with an encrypted request." "Turn these parameters off.";
    110 VeniceSystemPrompt "venice_system_prompt" false 400 2 "The provider's system prompt cannot be added to an encrypted request." "Remove the parameter or set it to false.";
    111 Character "character" false 400 2 "Characters cannot be used with an encrypted request." "Remove `character_slug`.";
    112 Tools "tools" false 400 2 "Tool definitions and tool calls cannot be encrypted for this provider." "Remove the tools or choose a provider that seals them.";
    113 MediaPart "media_part" false 400 2 "Images, audio, video and files cannot be encrypted for this provider." "Send text parts only.";
    114 ResponseFormat "response_format" false 400 2 "A response schema would travel in clear." "Use the text format, or describe the format in the prompt.";
    115 Logprobs "logprobs" false 400 2 "Log probabilities come back in clear for this provider." "Remove `logprobs` and `top_logprobs`.";
    116 UnencryptableField "unencryptable_field" false 400 2 "A message has a member that this provider cannot encrypt." "Remove the member named in the details.";
    117 UnencryptableContent "unencryptable_content" false 400 2 "A message content has a form that cannot be encrypted." "Use a string or an array of text parts.";
    118 NoMessages "no_messages" false 400 2 "The request has no messages." "Send at least one message.";
    119 UnknownField "unknown_field" false 400 2 "The request has a member that would travel in clear and is not allowed to." "Remove the member named in the details.";
    120 StopInClear "stop_in_clear" false 400 2 "`stop` sequences travel in clear." "Remove `stop`, or allow it by policy (`allow_clear_stop`).";
    121 CacheSalt "cache_salt" false 400 2 "The cache salt is too short." "Give at least 32 bytes that nobody can guess, or leave it out.";
    122 MediaUrl "media_url" false 400 2 "The enclave does not take media from such an address." "Use an https or data URL for images; audio and video cannot be named by URL.";
    123 MalformedForm "malformed_form" false 400 2 "The request body is not a valid multipart form." "Send multipart/form-data with its boundary in the content type.";
    124 UnsupportedEndpoint "unsupported_endpoint" false 404 2 "The provider has no such sealed endpoint." "Use one of the endpoints named in the details.";
    125 AmbiguousModel "ambiguous_model" false 400 2 "Several providers offer this model." "Name one of the models given in the details.";
    // 130-199 config
    130 ConfigInvalid "config_invalid" false 400 2 "The configuration is not valid." "Correct the value named in the details.";
    131 PolicyInvalid "policy_invalid" false 400 2 "The policy is not valid." "Correct the member named in the details; `proveil explain policy` lists them.";
    132 TrustRootsInvalid "trust_roots_invalid" false 400 2 "The trust roots file cannot be used." "Give a `proveil.trust-roots/v1` JSON file.";
    133 MissingApiKey "missing_api_key" false 401 2 "No API key was given." "Set the environment variable named in the details, its `_FILE` form, or `--api-key-file`.";
    134 FileUnreadable "file_unreadable" false 400 2 "A file cannot be read." "Check the path and its permissions.";
    135 Usage "usage" false 400 2 "The command line is not valid." "See `proveil --help`.";
    136 InvalidUrl "invalid_url" false 400 2 "A URL cannot be used." "Give an absolute https URL (http is accepted for loopback addresses only).";
    137 ReportInvalid "report_invalid" false 400 2 "The file is not a report that this version can show." "Give a `proveil.report/v1` JSON file as `proveil verify --json` writes it.";
    138 FileUnwritable "file_unwritable" false 400 2 "A file cannot be written." "Check the path, its permissions and the space left.";
    139 EvidenceInvalid "evidence_invalid" false 400 2 "The evidence bundle cannot be used." "Give a `proveil.evidence/v1` file, or a directory as `proveil capture` writes it.";
    140 PinsInvalid "pins_invalid" false 400 2 "The pins cannot be used." "Nothing was sent. Repair or remove the file named in the details; a broken file is never taken for an empty one.";
    141 ManifestInvalid "manifest_invalid" false 400 2 "The manifest of the deployment is not valid." "Nothing was sent. Compare it with the one that the provider publishes.";
    // 2xx refused
    201 NonceEchoMismatch "nonce_echo_mismatch" false 403 3 "The attestation answers another challenge than ours." "This can be a replayed answer. Nothing was sent; try again, and treat a repeat as an attack.";
    202 ReportDataNonceMismatch "reportdata_nonce_mismatch" false 403 3 "The signed report data does not carry our nonce." "The evidence was made for another request. Nothing was sent.";
    203 ServerSaysUnverified "server_says_unverified" false 403 3 "The provider itself says that the enclave is not verified." "Nothing was sent. Try another model or later.";
    204 ModelMismatch "model_mismatch" false 403 3 "The attestation is for another model." "Nothing was sent. The provider may have renamed or replaced the model.";
    205 KeyInvalid "key_invalid" false 403 3 "The enclave's public key is not a valid point." "Nothing was sent.";
    206 NoSigningKey "no_signing_key" false 403 3 "The attestation names no public key." "Nothing was sent.";
    207 ConflictingFields "conflicting_fields" false 403 3 "Two members of the attestation that must agree differ." "Nothing was sent. Do not trust this answer.";
    208 AddressMismatch "address_mismatch" false 403 3 "The signing address does not belong to the public key." "Nothing was sent. Do not trust this answer.";
    209 QuoteMissing "quote_missing" false 403 3 "The attestation has no hardware quote." "Nothing was sent. Without a quote nothing is proven.";
    210 NotTdx "not_tdx" false 403 3 "The quote is not an Intel TDX quote." "Nothing was sent.";
    211 DebugTd "debug_td" false 403 3 "The enclave runs in debug mode: its operator can read its memory." "Nothing was sent.";
    212 ReportDataIdentityMismatch "reportdata_identity_mismatch" false 403 3 "The signed report data is bound to another key." "Somebody put a different key into the answer. Nothing was sent.";
    213 ReportDataPaddingNonzero "reportdata_padding_nonzero" false 403 3 "The signed report data has bytes set that must be zero." "The evidence follows no known rule. Nothing was sent.";
    214 GpuEvidenceMissing "gpu_evidence_missing" false 403 3 "The policy asks for GPU evidence and there is none." "Nothing was sent. Choose another model, or a policy without GPU evidence.";
    215 GpuNonceMismatch "gpu_nonce_mismatch" false 403 3 "GPU evidence answers another challenge than ours." "Nothing was sent.";
    216 MalformedField "malformed_field" false 403 3 "The attestation answer does not have the expected form." "Nothing was sent.";
    220 QuoteMalformed "quote_malformed" false 403 3 "The quote does not have the exact layout of a TDX quote." "Nothing was sent.";
    221 PckChain "pck_chain" false 403 3 "The quote's certificate chain does not lead to the trusted root." "Nothing was sent. A lab or simulator needs its own root: `--trust-roots`.";
    222 PckRevoked "pck_revoked" false 403 3 "A certificate of the platform has been revoked by Intel." "Nothing was sent. Do not use this machine.";
    223 QeReportSignature "qe_report_signature" false 403 3 "The quoting enclave's report is not signed by the platform's key." "Nothing was sent. The quote was altered or forged.";
    224 AkBinding "ak_binding" false 403 3 "The attestation key is not bound to the quoting enclave." "Nothing was sent. The quote was altered or forged.";
    225 QuoteSignature "quote_signature" false 403 3 "The quote's signature is wrong." "Nothing was sent. The quote was altered or forged.";
    226 CollateralSignature "collateral_signature" false 403 3 "Vendor collateral is not signed by the vendor." "Nothing was sent. Check the source of the collateral.";
    227 CollateralMismatch "collateral_mismatch" false 403 3 "Vendor collateral belongs to another platform or kind." "Fetch collateral for this platform.";
    228 TcbNoMatchingLevel "tcb_no_matching_level" false 403 3 "The platform is below every security level that Intel lists." "Nothing was sent. The operator must update the platform.";
    229 TcbStatusRefused "tcb_status_refused" false 403 3 "The platform's security patch level is not accepted by the policy." "Nothing was sent. The operator must update the platform, or the policy must name the status and its advisories.";
    230 TcbEvaluationNumber "tcb_evaluation_number" false 403 3 "The collateral is older than one already seen or than the policy's minimum." "Fetch current collateral; an older one can hide known vulnerabilities.";
    231 TdxModule "tdx_module" false 403 3 "The TDX module is not one that Intel identifies." "Nothing was sent.";
    232 QeIdentity "qe_identity" false 403 3 "The quoting enclave is not Intel's." "Nothing was sent.";
    233 TdAttributes "td_attributes" false 403 3 "The enclave was started with attributes that the policy does not accept." "Nothing was sent.";
    234 TdXfam "td_xfam" false 403 3 "The enclave's extended features are outside the accepted set." "Nothing was sent.";
    235 ServiceTd "service_td" false 403 3 "The enclave is bound to a service TD or partition that the policy does not name." "Nothing was sent.";
    236 QuoteBodyType "quote_body_type" false 403 3 "The quote has a body type that is not accepted." "Nothing was sent.";
    240 EventLogMalformed "event_log_malformed" false 403 3 "The event log does not have the expected form." "Nothing was sent.";
    241 EventDigestMismatch "event_digest_mismatch" false 403 3 "An event's digest does not match its content." "The event log was altered. Nothing was sent.";
    242 Rtmr3Mismatch "rtmr3_mismatch" false 403 3 "The event log does not lead to the measured RTMR3." "The event log was altered. Nothing was sent.";
    243 RtmrMismatch "rtmr_mismatch" false 403 3 "The event log does not lead to a measured register." "The event log was altered. Nothing was sent.";
    244 DuplicateEvent "duplicate_event" false 403 3 "The event log has an event twice that may occur once." "Nothing was sent.";
    245 ComposeHashMismatch "compose_hash_mismatch" false 403 3 "The application description is not the measured one." "Nothing was sent.";
    246 MrConfigIdMismatch "mr_config_id_mismatch" false 403 3 "MR_CONFIG_ID does not match the application description." "Nothing was sent.";
    247 TcbInfoCopyMismatch "tcb_info_copy_mismatch" false 403 3 "The answer's copy of the measurements differs from the signed ones." "Nothing was sent. Do not trust this answer.";
    248 ComposeManagerBinding "compose_manager_binding" false 403 3 "The compose manager's quote is not bound to its action list, our nonce and the same enclave." "Nothing was sent.";
    249 OhttpKeyConfig "ohttp_key_config" false 403 3 "The OHTTP key configuration is not signed as stated." "Nothing was sent.";
    250 GpuEvidenceMalformed "gpu_evidence_malformed" false 403 3 "GPU evidence does not have the exact layout of an SPDM measurement report." "Nothing was sent.";
    251 GpuChain "gpu_chain" false 403 3 "A GPU certificate chain does not lead to the trusted NVIDIA root." "Nothing was sent.";
    252 GpuSignature "gpu_signature" false 403 3 "A GPU report's signature is wrong." "Nothing was sent. The report was altered or forged.";
    253 GpuDuplicate "gpu_duplicate" false 403 3 "The same GPU is presented more than once." "Nothing was sent.";
    254 GpuFirmwareId "gpu_firmware_id" false 403 3 "A GPU report's firmware identity differs from its certificate's." "Nothing was sent.";
    255 MissingEvent "missing_event" false 403 3 "The event log lacks an event that must be there." "Nothing was sent.";
    256 GpuMeasurement "gpu_measurement" false 403 3 "A GPU's measurements differ from NVIDIA's reference values." "Nothing was sent. Unknown firmware, or the GPU is not in confidential mode; the details name the measurements.";
    257 GpuPolicy "gpu_policy" false 403 3 "A GPU is not one that the policy accepts." "Nothing was sent. Compare the values with the policy.";
    258 GpuRevoked "gpu_revoked" false 403 3 "NVIDIA has revoked a certificate of a GPU or of a reference manifest's signer." "Nothing was sent. Do not use this device or manifest.";
    259 GpuTopology "gpu_topology" false 403 3 "The GPUs and switches presented are not those of one system." "Nothing was sent.";
    260 MeasurementRefused "measurement_refused" false 403 3 "The enclave runs software that the policy does not accept." "Nothing was sent. Compare the values; accept the new one only if you know the release.";
    261 TlsKeyMismatch "tls_key_mismatch" false 403 3 "The TLS key of the connection is not the attested one." "Nothing was sent.";
    262 RequiredEvidenceMissing "required_evidence_missing" false 403 3 "The policy requires evidence that the answer does not contain." "Nothing was sent.";
    263 SoftwareChanged "software_changed" false 403 3 "The enclave runs other software than the pinned one." "Nothing was sent. The report says where the two differ; `proveil pin accept` takes the new one if you know the release.";
    264 ManifestMismatch "manifest_mismatch" false 403 3 "The deployment runs another manifest than the expected one." "Nothing was sent. Accept the new one only if you know the release.";
    265 ManifestHistory "manifest_history" false 403 3 "The deployment's manifest was changed while it ran." "Nothing was sent. A deployment whose manifest can be replaced is not the one that was published.";
    266 MeshCa "mesh_ca" false 403 3 "The deployment's own certification authority is not one." "Nothing was sent. Do not trust this answer.";
    267 MeshCertificate "mesh_certificate" false 403 3 "The key exchange was not answered by the attested key service." "Nothing was sent. Do not trust this answer.";
    268 SecretSignature "secret_signature" false 403 3 "The key exchange is not signed by the attested key service." "Nothing was sent. Somebody may have answered in its place.";
    269 ContrastMalformed "contrast_malformed" false 403 3 "The attestation document does not have the expected form." "Nothing was sent.";
    270 SnpReportMalformed "snp_report_malformed" false 403 3 "The report does not have the exact layout of an SEV-SNP attestation report." "Nothing was sent.";
    271 SnpChain "snp_chain" false 403 3 "The report's certificate chain does not lead to the trusted AMD root." "Nothing was sent. A lab or simulator needs its own root: `--trust-roots`.";
    272 SnpRevoked "snp_revoked" false 403 3 "The issuer of the report's certificate has been revoked by AMD." "Nothing was sent. Do not use this certificate.";
    273 SnpSignature "snp_signature" false 403 3 "The report's signature is wrong." "Nothing was sent. The report was altered or forged, or the certificate is another machine's.";
    274 SnpSignerMismatch "snp_signer_mismatch" false 403 3 "The report was not signed, or by another kind of key than the certificate's." "Nothing was sent.";
    275 SnpProduct "snp_product" false 403 3 "The report is of an unknown processor, or of another one than the certificate." "Nothing was sent.";
    276 SnpCertificateMismatch "snp_certificate_mismatch" false 403 3 "The certificate is for another chip or patch level than the report states." "Fetch the certificate of this chip and reported TCB.";
    277 SnpTcbRefused "snp_tcb_refused" false 403 3 "The platform's firmware or microcode is not accepted by the policy." "Nothing was sent. The operator must update the platform.";
    278 SnpGuestPolicy "snp_guest_policy" false 403 3 "The guest or its platform was started in a way that the policy does not accept." "Nothing was sent.";
    279 SnpVmpl "snp_vmpl" false 403 3 "The report was asked for from a privilege level that the policy does not accept." "Name the level in the policy if the guest runs under a paravisor that you trust.";
    280 PlatformNotAllowed "platform_not_allowed" false 403 3 "The platform is not one that the policy names." "Nothing was sent.";
    281 ReportDataMismatch "report_data_mismatch" false 403 3 "The signed report data is not the expected one." "The evidence was made for something else. Nothing was sent.";
    290 NrasToken "nras_token" false 403 3 "A token of NVIDIA's attestation service is not genuine or not about this evidence." "Nothing was sent. Do not trust this token.";
    291 NrasRefused "nras_refused" false 403 3 "NVIDIA's attestation service does not call this evidence right." "Nothing was sent. The details name the claim.";
    // 3xx indeterminate
    301 CollateralExpired "collateral_expired" true 503 4 "Vendor collateral has expired." "Nothing was sent. Fetch newer collateral; also check this machine's clock.";
    302 CollateralNotYetValid "collateral_not_yet_valid" true 503 4 "Vendor collateral is not valid yet." "Nothing was sent. Check this machine's clock.";
    303 CollateralMissing "collateral_missing" true 503 4 "No vendor collateral for this platform was given." "Nothing was sent. Give `--collateral`, or allow fetching it.";
    304 CollateralUnreachable "collateral_unreachable" true 503 4 "Vendor collateral could not be fetched." "Nothing was sent. Check the network or proxy settings, or use a mirror (`--collateral-url`).";
    305 AttestationUnreachable "attestation_unreachable" true 503 4 "The attestation could not be fetched." "Nothing was sent. Check the network or proxy settings and try again.";
    306 AttestationUnavailable "attestation_unavailable" true 503 4 "The provider could not serve an attestation." "Nothing was sent. The provider's attestation service is often busy for minutes; try again.";
    307 ProofExpired "proof_expired" true 503 4 "The proof of this endpoint is too old." "Verify the endpoint again.";
    308 ClockWrong "clock_wrong" false 503 4 "This machine's clock is before the date of evidence already seen." "Set the clock.";
    309 CrlExpired "crl_expired" true 503 4 "A certificate revocation list is missing, expired or not yet valid." "Nothing was sent. Fetch a current list; also check this machine's clock.";
    310 RequiredCheckNotMade "required_check_not_made" false 503 4 "A check that the policy requires could not be made." "Nothing was sent. The details name the check.";
    311 ModelsUnreachable "models_unreachable" true 503 4 "The provider's model list could not be fetched." "Nothing was sent. Check the network and try again.";
    312 CollateralMalformed "collateral_malformed" true 503 4 "Vendor collateral does not have the expected form." "Nothing was sent. Check the source of the collateral: a captive portal or a proxy may have answered.";
    313 PolicyExpired "policy_expired" false 503 4 "The policy is no longer in force." "Nothing was sent. Look at its values again and give it a new `not_after`.";
    314 ManifestUnreachable "manifest_unreachable" true 503 4 "The deployment's manifest could not be fetched." "Nothing was sent. Check the network, or give the manifest as a file.";
    315 SecretUnreachable "secret_unreachable" true 503 4 "The key exchange with the enclave could not be made." "Nothing was sent. Check the network or proxy settings and try again.";
    // 4xx integrity
    401 NotCiphertext "not_ciphertext" false 502 5 "A field of the answer is not encrypted." "The stream was closed. Do not trust this answer.";
    402 PlaintextDowngrade "plaintext_downgrade" false 502 5 "The answer contains clear text where only encrypted text is allowed." "The stream was closed. Do not trust this answer; the encryption may have been stripped on the way.";
    403 InvalidPoint "invalid_point" false 502 5 "An encrypted field carries a key that is not a valid point." "The stream was closed. Do not trust this answer.";
    404 AuthFailed "auth_failed" false 502 5 "An encrypted field failed to decrypt." "The stream was closed. Do not trust text after the last delivered piece.";
    405 InvalidUtf8 "invalid_utf8" false 502 5 "A decrypted field is not valid UTF-8." "The stream was closed.";
    406 SignatureInvalid "signature_invalid" false 502 5 "The response signature cannot be verified." "The signature proves nothing; treat the answer as unsigned.";
    407 TextMismatch "text_mismatch" false 502 5 "The response signature covers other bytes than those exchanged." "The signature does not vouch for this answer.";
    408 SignerMismatch "signer_mismatch" false 502 5 "The response signature was made by another key than the attested one." "The signature does not vouch for this answer.";
    409 ReflectedField "reflected_field" false 502 5 "A field of the answer is one of the request, sent back." "The stream was closed. Do not trust this answer.";
    410 ForeignField "foreign_field" false 502 5 "A field of the answer belongs to another exchange." "The stream was closed. Do not trust this answer.";
    // 5xx protocol
    501 UpstreamError "upstream_error" false 502 6 "The provider reported an error." "The provider's own words are in the details; nobody vouches for them unless the message says that they were sealed.";
    502 Truncated "truncated" false 502 5 "The answer stopped before its end." "The text so far decrypted correctly but is incomplete.";
    503 UnexpectedContentType "unexpected_content_type" false 502 6 "The answer is not an event stream." "Nothing of it was used.";
    504 MalformedEvent "malformed_event" false 502 5 "The answer's stream does not have the expected form." "The stream was closed.";
    505 UpstreamUnauthorized "upstream_unauthorized" false 502 6 "The provider did not accept the API key." "Check the key and its plan.";
    506 UpstreamPayment "upstream_payment" false 502 6 "The provider asks for payment." "Check the account's balance and limits.";
    507 UpstreamRateLimited "upstream_rate_limited" true 502 6 "The provider limits the rate of requests." "Wait and try again.";
    508 UpstreamUnavailable "upstream_unavailable" true 502 6 "The provider is not available." "Try again later.";
    509 ConnectionFailed "connection_failed" true 502 6 "The connection to the provider failed." "Check the network or proxy settings.";
    510 RedirectRefused "redirect_refused" false 502 6 "The provider answered with a redirect, which is never followed." "Check the base URL.";
    511 ContentEncoding "content_encoding" false 502 6 "The answer is compressed, which is not accepted." "Nothing of it was used.";
    512 MalformedResponse "malformed_response" false 502 6 "The provider's answer does not have the expected form." "Try again; report it if it persists.";
    513 StaleKey "stale_key" true 502 6 "The provider no longer accepts the key that was proven." "The endpoint has to be verified again; clients do this once by themselves.";
    514 AnswerMixed "answer_mixed" false 502 5 "The stream mixes parts of different answers." "The stream was closed. Do not trust this answer.";
    515 SignatureUnavailable "signature_unavailable" true 502 6 "The provider has no signature for this answer." "Ask again shortly; signatures are kept for a limited time.";
    516 ToolCallInvalid "tool_call_invalid" false 502 6 "The model's tool call does not have the form that the tool asks for." "Try again, or choose a model whose provider carries tools sealed.";
    517 GpuStatusRefused "gpu_status_refused" false 502 6 "The provider's workers refused the request: NVIDIA's revocation status of their GPUs is one that your settings do not accept." "Ask the provider, or accept unknown and recently revoked certificates: `--gpu-revocation-grace HOURS` (`gpu_revocation_grace_s` in libraries).";
    // 6xx limits
    601 LimitExceeded "limit_exceeded" false 413 5 "A size limit was exceeded." "The details name the limit.";
    602 Timeout "timeout" true 502 6 "An operation took too long." "Try again, or raise the timeout.";
    603 UploadTooSlow "upload_too_slow" false 408 2 "The body of the request came too slowly." "Send each MiB within 30 s.";
    // 7xx misuse
    701 NullPointer "null_pointer" false 400 2 "A pointer that must not be NULL is NULL." "Pass a valid pointer.";
    702 InvalidHandle "invalid_handle" false 400 2 "A handle is unknown or was already freed." "Free a handle once and do not use it afterwards.";
    703 WrongHandleType "wrong_handle_type" false 400 2 "A handle has another type than the function takes." "Pass the handle that the function names.";
    704 AlreadyFinished "already_finished" false 400 2 "The object was already finished." "Create a new one for each request.";
    705 InvalidText "invalid_text" false 400 2 "A text argument is not valid UTF-8 or contains a NUL." "Pass UTF-8.";
    706 StructSize "struct_size" false 400 2 "A structure's size member is not one that this library knows." "Set `struct_size` to `sizeof` of the structure.";
    707 Busy "busy" false 400 2 "The object is in use by another thread." "Use a stream or opener from one thread at a time.";
    708 OutOfOrder "out_of_order" false 400 2 "The call does not fit the object's state." "Follow the order given in the documentation.";
    709 Cancelled "cancelled" false 400 130 "The operation was cancelled." "Nothing to do.";
    710 InvalidLength "invalid_length" false 400 2 "A length is larger than any object can be." "Pass the number of bytes behind the pointer.";
    // 8xx access
    801 HostNotAllowed "host_not_allowed" false 403 2 "The request names a host that is not allowed." "Use the address that the proxy printed.";
    802 OriginNotAllowed "origin_not_allowed" false 403 2 "A web page of another origin made the request." "Allow the origin in the proxy's settings if the page is yours.";
    803 ClientUnauthorized "client_unauthorized" false 401 2 "The local proxy does not know the caller." "Send one of the proxy's client tokens as a bearer token or as `x-api-key`.";
    804 ContentTypeNotAllowed "content_type_not_allowed" false 415 2 "The content type of the request is not accepted." "Send application/json, or multipart/form-data for recordings.";
    805 MethodNotAllowed "method_not_allowed" false 405 2 "The path does not have this method." "Use the method named in the details.";
    806 TooManyStreams "too_many_streams" true 429 6 "The caller has too many answers open at once." "Wait until one has ended, or raise the proxy's limit.";
    807 ListenerExposed "listener_exposed" false 400 2 "The proxy would be open to everybody who can reach this machine." "Listen on a loopback address, or require client tokens or client certificates.";
    808 ShuttingDown "shutting_down" true 503 6 "The proxy is about to end." "Try again at another replica, or shortly.";
    809 ProxyBusy "proxy_busy" true 503 6 "The proxy holds as many bytes of requests as it may." "Try again shortly, or raise the proxy's `body_memory_mib`.";
    810 NoReport "no_report" false 404 2 "Nothing was verified yet, so there is no report." "Send a request, or wait until `/readyz` answers with 200.";
    // 9xx internal
    901 Internal "internal" false 500 1 "Something went wrong inside Proveil." "This is a bug; please report it.";
    902 Panic "panic" false 500 1 "A defect inside Proveil was caught." "This is a bug; please report it.";
    903 RandomFailed "random_failed" false 500 1 "The random source failed." "Check the operating system's random device.";
}

impl Code {
    /// The number, 101-999.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// `PV-` and the number.
    pub fn text(self) -> String {
        format!("PV-{}", self.number())
    }

    /// Stable machine name.
    pub fn slug(self) -> &'static str {
        self.row().slug
    }

    /// Family.
    pub const fn class(self) -> Class {
        Class::of(self as u16)
    }

    /// The code with this number, if it is in the registry.
    pub fn from_number(number: u16) -> Option<Code> {
        REGISTRY.iter().find(|row| row.number == number).map(|row| row.code)
    }

    /// The code with this slug, if it is in the registry.
    pub fn from_slug(slug: &str) -> Option<Code> {
        REGISTRY.iter().find(|row| row.slug == slug).map(|row| row.code)
    }
}
