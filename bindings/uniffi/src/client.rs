//! The client with its own transport.

use std::sync::Arc;

use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::{
    CancelToken, ClientOptions as Options, OwnedRequest, PrivatemodeFields, TimeoutOptions, client, run,
};

use crate::bundle::EvidenceBundle;
use crate::endpoint::VerifiedEndpoint;
use crate::error::{Outcome, guarded};
use crate::policy::{Policy, TrustRoots, policy_of, roots_of};
use crate::report::Report;
use crate::stream::Stream;

/// A client's settings beside provider and key. Absent members have the default.
#[derive(Default, uniffi::Record)]
pub struct ClientOptions {
    /// Where the provider is reached; default is its public address.
    #[uniffi(default = None)]
    pub base_url: Option<String>,
    /// Where Intel-style collateral is fetched; default is Intel's service.
    #[uniffi(default = None)]
    pub collateral_url: Option<String>,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached; default is NVIDIA's hosts. They are asked only where
    /// the policy requires what they say.
    #[uniffi(default = None)]
    pub nvidia_url: Option<String>,
    /// What must hold; default is `Policy.standard`.
    #[uniffi(default = None)]
    pub policy: Option<Arc<Policy>>,
    /// Whose signatures count; default is the hardware vendors'.
    #[uniffi(default = None)]
    pub trust_roots: Option<Arc<TrustRoots>>,
    /// More certificate authorities for TLS, PEM.
    #[uniffi(default = None)]
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// `environment` (default: `HTTPS_PROXY`, `NO_PROXY`), `none`, or a proxy URL.
    #[uniffi(default = None)]
    pub proxy: Option<String>,
    /// Folder for vendor collateral, which is verified again on every use.
    #[uniffi(default = None)]
    pub cache_dir: Option<String>,
    /// File of pinned software, as `proveil pin` keeps it: other software than the pinned one is refused (`software_changed`), and a file
    /// that cannot be read is an error (`pins_invalid`).
    #[uniffi(default = None)]
    pub pins: Option<String>,
    /// Seconds to connect, TLS included.
    #[uniffi(default = None)]
    pub connect_s: Option<u64>,
    /// Seconds from the request to the first byte of the answer.
    #[uniffi(default = None)]
    pub first_byte_s: Option<u64>,
    /// Seconds between two pieces of an answer.
    #[uniffi(default = None)]
    pub idle_s: Option<u64>,
    /// Seconds for a whole verification.
    #[uniffi(default = None)]
    pub verification_s: Option<u64>,
    /// Privatemode: the manifest that the deployment must have, byte for byte; then it proves the software. By default the one that the
    /// provider publishes is taken, which says what runs and not that this is right.
    #[uniffi(default = None)]
    pub manifest: Option<Vec<u8>>,
    /// Privatemode: where manifests are published; default is the provider's own host.
    #[uniffi(default = None)]
    pub manifest_url: Option<String>,
    /// Privatemode: where AMD's key distribution service is reached; default is AMD's own.
    #[uniffi(default = None)]
    pub amd_url: Option<String>,
    /// Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so many seconds ago; by default, and
    /// with 0, only those that were not revoked.
    #[uniffi(default = None)]
    pub gpu_revocation_grace_s: Option<u64>,
    /// Privatemode: DNS name that the key service's certificate must have, instead of those in the manifest.
    #[uniffi(default = None)]
    pub key_service_name: Option<String>,
    /// Privatemode: a secret of at least 32 bytes. Prompts with the same one can share what the service keeps of them; by default each
    /// request gets its own.
    #[uniffi(default = None)]
    pub cache_salt: Option<Arc<CacheSalt>>,
    /// Privatemode: folder whose `manifests` keeps each manifest that the deployment was proven to run, with `log.txt` of when it was first
    /// seen and what changed; by default there is no such log. A log that cannot be written is no error.
    #[uniffi(default = None)]
    pub workspace: Option<String>,
}

/// A cache salt: an object, because a generated record would print the secret.
#[derive(uniffi::Object)]
pub struct CacheSalt(pub(crate) SecretText);

#[uniffi::export]
impl CacheSalt {
    /// Takes the text. What is too short is refused where it is used (`cache_salt`).
    #[uniffi::constructor]
    pub fn new(salt: String) -> Arc<CacheSalt> {
        Arc::new(CacheSalt(SecretText::new(salt)))
    }
}

/// Verifies an endpoint, seals requests to its proven key, sends them and opens the answers. Opens no socket and starts no thread
/// before the first call. Cancelling the task of a call ends it.
#[derive(uniffi::Object)]
pub struct Client(client::Client);

#[uniffi::export]
impl Client {
    /// Reads the settings; fails with configuration errors.
    #[uniffi::constructor(default(options = None))]
    pub fn new(provider: String, api_key: String, options: Option<ClientOptions>) -> Outcome<Arc<Client>> {
        guarded(|| {
            let given = options.unwrap_or_default();
            let options = Options {
                provider,
                api_key: SecretText::new(api_key),
                base_url: given.base_url,
                collateral_url: given.collateral_url,
                nvidia_url: given.nvidia_url,
                policy: policy_of(given.policy),
                trust_roots: roots_of(given.trust_roots),
                ca_bundle_pem: given.ca_bundle_pem,
                proxy: given.proxy,
                cache_dir: given.cache_dir,
                pins: given.pins,
                workspace: given.workspace,
                timeouts: TimeoutOptions {
                    connect_s: given.connect_s,
                    first_byte_s: given.first_byte_s,
                    idle_s: given.idle_s,
                    verification_s: given.verification_s,
                },
                privatemode: PrivatemodeFields {
                    manifest: given.manifest,
                    manifest_url: given.manifest_url,
                    amd_url: given.amd_url,
                    gpu_revocation_grace_s: given.gpu_revocation_grace_s,
                    cache_salt: given.cache_salt.map(|salt| salt.0.duplicate()),
                    key_service_name: given.key_service_name,
                },
            };
            Ok(Arc::new(Client(client::Client::new(options.config()?)?)))
        })
    }

    /// The provider's models as JSON: `{"models":[{"id","class",...}]}`.
    pub async fn models_json(&self) -> Outcome<String> {
        let client = self.0.clone();
        Ok(run(CancelToken::new(), async move { client.models_json().await }).await?)
    }

    /// A fresh verification. All three verdicts are a report; look at `verdict`. An error means that there was nothing to judge: an
    /// argument or setting that cannot be used (PV-1xx, with pins that cannot be read), a provider whose model list, manifest,
    /// attestation or key exchange could not be fetched (PV-3xx), or one that answered with an error (PV-5xx).
    pub async fn verify(&self, model: String) -> Outcome<Arc<Report>> {
        let client = self.0.clone();
        let report = run(CancelToken::new(), async move { client.verify(&model).await }).await?;
        Ok(Arc::new(report.into()))
    }

    /// A fresh verification with everything that it used, whatever its verdict, to be kept and judged again without network.
    pub async fn capture(&self, model: String) -> Outcome<Arc<EvidenceBundle>> {
        let client = self.0.clone();
        let capture = run(CancelToken::new(), async move { client.capture(&model).await }).await?;
        Ok(Arc::new(capture.bundle.into()))
    }

    /// A proven endpoint, reused while its proof lasts; concurrent callers share one verification.
    pub async fn ready(&self, model: String) -> Outcome<Arc<VerifiedEndpoint>> {
        let client = self.0.clone();
        let endpoint = run(CancelToken::new(), async move { client.ready(&model).await }).await?;
        Ok(Arc::new(endpoint.into()))
    }

    /// Verifies when needed, seals, sends, and gives the answer as it is opened. `body` is a chat request in the OpenAI form, JSON.
    /// What an answer says besides texts (calls of tools, refusals, log probabilities) comes as a document, before its texts.
    pub async fn chat(&self, body: Vec<u8>) -> Outcome<Arc<Stream>> {
        let client = self.0.clone();
        let stream = run(CancelToken::new(), async move { client.chat(&body).await }).await?;
        Ok(Arc::new(stream.into()))
    }

    /// As `chat`, for any endpoint of the API that the provider carries sealed, by its path (`/v1/messages`). Forms and documents need
    /// their content type. The answer comes as events of kind `document`: one for a whole answer, one for each event of a streamed one.
    #[uniffi::method(default(content_type = None))]
    pub async fn send(
        &self,
        endpoint_path: String,
        body: Vec<u8>,
        content_type: Option<String>,
    ) -> Outcome<Arc<Stream>> {
        let client = self.0.clone();
        let request = OwnedRequest::new(&endpoint_path, &body, content_type)?;
        let stream = run(CancelToken::new(), async move { client.send(&request.request()).await }).await?;
        Ok(Arc::new(stream.into()))
    }

    /// Embeds texts: `body` has the OpenAI form, with `model` and `input`. Gives the whole answer as JSON.
    pub async fn embeddings(&self, body: Vec<u8>) -> Outcome<String> {
        let client = self.0.clone();
        Ok(run(CancelToken::new(), async move { client.embeddings(&body).await }).await?)
    }

    /// Transcribes a recording: `body` is a form with `model` and `file`, and the content type (`multipart/form-data`) names its
    /// boundary. Gives the whole answer as JSON.
    pub async fn transcriptions(&self, body: Vec<u8>, content_type: String) -> Outcome<String> {
        let client = self.0.clone();
        Ok(run(CancelToken::new(), async move { client.transcriptions(&body, &content_type).await }).await?)
    }
}
