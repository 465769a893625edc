//! The client with its own transport.

use std::sync::{Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Object, Uint8Array};
use napi_derive::napi;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{
    CancelToken, ClientOptions, OwnedRequest, PrivatemodeFields, TimeoutOptions, client,
};

use crate::answer::{Answer, answer, promise};
use crate::bundle::EvidenceBundle;
use crate::endpoint::Endpoint;
use crate::report::{Report, policy, trust_roots};
use crate::stream::Stream;
use crate::values::seconds;

/// A client's settings, as the TypeScript layer gives them.
#[napi(object, object_to_js = false)]
pub struct ClientFields {
    /// Provider name.
    pub provider: String,
    /// The caller's key.
    pub api_key: String,
    /// Where the provider is reached.
    pub base_url: Option<String>,
    /// Where collateral is fetched.
    pub collateral_url: Option<String>,
    /// Where NVIDIA's services are reached.
    pub nvidia_url: Option<String>,
    /// Policy document.
    pub policy: Option<String>,
    /// Trust roots document.
    pub trust_roots: Option<String>,
    /// Certificate authorities, PEM.
    pub ca_bundle_pem: Option<Uint8Array>,
    /// `environment`, `none` or a URL.
    pub proxy: Option<String>,
    /// Folder for collateral.
    pub cache_dir: Option<String>,
    /// File of pinned software.
    pub pins: Option<String>,
    /// Seconds.
    pub connect_s: Option<f64>,
    /// Seconds.
    pub first_byte_s: Option<f64>,
    /// Seconds.
    pub idle_s: Option<f64>,
    /// Seconds.
    pub verification_s: Option<f64>,
    /// Privatemode: the expected manifest.
    pub manifest: Option<Uint8Array>,
    /// Privatemode: where manifests are published.
    pub manifest_url: Option<String>,
    /// Privatemode: where AMD's key distribution service is reached.
    pub amd_url: Option<String>,
    /// Privatemode: seconds for which a revoked GPU certificate is accepted.
    pub gpu_revocation_grace_s: Option<f64>,
    /// Privatemode: cache salt for all requests.
    pub cache_salt: Option<String>,
    /// Privatemode: DNS name of the key service.
    pub key_service_name: Option<String>,
    /// Privatemode: folder for the log of manifests.
    pub workspace: Option<String>,
}

/// Ends operations early.
#[napi]
pub struct Cancel(CancelToken);

#[napi]
impl Cancel {
    /// A token of its own.
    #[napi]
    pub fn create() -> Cancel {
        Cancel(CancelToken::new())
    }

    /// Ends every operation that was given this token.
    #[napi]
    pub fn trigger(&self) {
        self.0.trigger();
    }
}

impl Cancel {
    /// The token.
    pub fn token(&self) -> CancelToken {
        self.0.clone()
    }
}

/// Verifies, seals, sends and opens.
#[napi]
pub struct Client(Mutex<Option<client::Client>>);

impl Client {
    /// The client; `already_finished` after `close`.
    fn inner(&self) -> Result<client::Client> {
        let locked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locked.as_ref().cloned().ok_or_else(|| Error::new(Code::AlreadyFinished).at("Client"))
    }
}

#[napi]
impl Client {
    /// Reads the settings; opens no socket and starts no thread.
    #[napi]
    pub fn create(given: ClientFields) -> Answer<Client> {
        answer(|| {
            let options = ClientOptions {
                provider: given.provider,
                api_key: SecretText::new(given.api_key),
                base_url: given.base_url,
                collateral_url: given.collateral_url,
                nvidia_url: given.nvidia_url,
                policy: policy(given.policy)?,
                trust_roots: trust_roots(given.trust_roots)?,
                ca_bundle_pem: given.ca_bundle_pem.map(|pem| pem.to_vec()),
                proxy: given.proxy,
                cache_dir: given.cache_dir,
                pins: given.pins,
                workspace: given.workspace,
                timeouts: TimeoutOptions {
                    connect_s: seconds("timeouts.connectS", given.connect_s)?,
                    first_byte_s: seconds("timeouts.firstByteS", given.first_byte_s)?,
                    idle_s: seconds("timeouts.idleS", given.idle_s)?,
                    verification_s: seconds("timeouts.verificationS", given.verification_s)?,
                },
                privatemode: PrivatemodeFields {
                    manifest: given.manifest.map(|manifest| manifest.to_vec()),
                    manifest_url: given.manifest_url,
                    amd_url: given.amd_url,
                    gpu_revocation_grace_s: seconds("gpuRevocationGraceS", given.gpu_revocation_grace_s)?,
                    cache_salt: given.cache_salt.map(SecretText::new),
                    key_service_name: given.key_service_name,
                },
            };
            Ok(Client(Mutex::new(Some(client::Client::new(options.config()?)?))))
        })
    }

    /// The provider's models as JSON.
    #[napi]
    pub fn models_json<'env>(&self, env: &'env Env, cancel: &Cancel) -> napi::Result<Object<'env>> {
        let client = self.inner();
        promise(env, cancel.token(), async move { client?.models_json().await })
    }

    /// A fresh verification.
    #[napi]
    pub fn verify<'env>(&self, env: &'env Env, model: String, cancel: &Cancel) -> napi::Result<Object<'env>> {
        let client = self.inner();
        promise(env, cancel.token(), async move { client?.verify(&model).await.map(Report::from) })
    }

    /// A fresh verification with everything that it used.
    #[napi]
    pub fn capture<'env>(
        &self,
        env: &'env Env,
        model: String,
        cancel: &Cancel,
    ) -> napi::Result<Object<'env>> {
        let client = self.inner();
        promise(env, cancel.token(), async move {
            client?.capture(&model).await.map(|capture| EvidenceBundle::from(capture.bundle))
        })
    }

    /// A proven endpoint, from the cache while it lasts.
    #[napi]
    pub fn ready<'env>(&self, env: &'env Env, model: String, cancel: &Cancel) -> napi::Result<Object<'env>> {
        let client = self.inner();
        promise(env, cancel.token(), async move { client?.ready(&model).await.map(Endpoint::from) })
    }

    /// Sends a chat; the stream lives under the same token.
    #[napi]
    pub fn chat<'env>(&self, env: &'env Env, body: &[u8], cancel: &Cancel) -> napi::Result<Object<'env>> {
        let (client, body, token) = (self.inner(), zeroize::Zeroizing::new(body.to_vec()), cancel.token());
        promise(env, cancel.token(), async move {
            let stream = client?.chat(&body).await?;
            Ok(Stream::new(stream, token))
        })
    }

    /// Sends a request for any endpoint; the stream lives under the same token.
    #[napi]
    pub fn send<'env>(
        &self,
        env: &'env Env,
        endpoint_path: String,
        body: &[u8],
        content_type: Option<String>,
        cancel: &Cancel,
    ) -> napi::Result<Object<'env>> {
        let (client, token) = (self.inner(), cancel.token());
        let request = OwnedRequest::new(&endpoint_path, body, content_type);
        promise(env, cancel.token(), async move {
            let request = request?;
            let stream = client?.send(&request.request()).await?;
            Ok(Stream::new(stream, token))
        })
    }

    /// Embeds texts: the whole answer as JSON.
    #[napi]
    pub fn embeddings<'env>(
        &self,
        env: &'env Env,
        body: &[u8],
        cancel: &Cancel,
    ) -> napi::Result<Object<'env>> {
        let (client, body) = (self.inner(), zeroize::Zeroizing::new(body.to_vec()));
        promise(env, cancel.token(), async move { client?.embeddings(&body).await })
    }

    /// Transcribes a recording in a form: the whole answer as JSON.
    #[napi]
    pub fn transcriptions<'env>(
        &self,
        env: &'env Env,
        body: &[u8],
        content_type: String,
        cancel: &Cancel,
    ) -> napi::Result<Object<'env>> {
        let (client, body) = (self.inner(), zeroize::Zeroizing::new(body.to_vec()));
        promise(env, cancel.token(), async move { client?.transcriptions(&body, &content_type).await })
    }

    /// Drops the client: connections, proofs, API key. Calls under way and streams keep what they need.
    #[napi]
    pub fn close(&self) -> Answer<()> {
        answer(|| {
            let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(taken);
            Ok(())
        })
    }
}
