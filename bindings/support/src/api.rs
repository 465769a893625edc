//! Requests for any endpoint of the API, owned, so that a future can take them along.

use std::fmt;

use proveil_core::Result;
use proveil_core::endpoint::ApiRequest;
use proveil_core::openai::ApiEndpoint;
use zeroize::Zeroizing;

/// A request before sealing. Its body is wiped on drop.
pub struct OwnedRequest {
    endpoint: ApiEndpoint,
    content_type: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl OwnedRequest {
    /// A request for the endpoint with this path. Fails with `unsupported_endpoint`.
    pub fn new(path: &str, body: &[u8], content_type: Option<String>) -> Result<OwnedRequest> {
        let endpoint = ApiEndpoint::parse(path)?;
        Ok(OwnedRequest { endpoint, content_type, body: Zeroizing::new(body.to_vec()) })
    }

    /// The core's form of it. Its answer comes as documents.
    pub fn request(&self) -> ApiRequest<'_> {
        ApiRequest::new(self.endpoint.clone(), self.content_type.as_deref(), &self.body)
    }
}

impl fmt::Debug for OwnedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRequest").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proveil_core::Code;

    #[test]
    fn paths_are_read_and_bodies_not_shown() {
        let made = OwnedRequest::new("/v1/embeddings", b"canary", Some("a/b".to_owned())).unwrap();
        let request = made.request();
        assert_eq!((request.endpoint, request.content_type), (ApiEndpoint::Embeddings, Some("a/b")));
        assert!(request.documents && request.body == b"canary");
        assert!(!format!("{made:?}").contains("canary"));
        let error = OwnedRequest::new("/v1/files", b"", None).unwrap_err();
        assert_eq!(error.code(), Code::UnsupportedEndpoint);
    }
}
