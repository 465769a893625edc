//! The least that a transport has to do, over loopback: exactly the given headers, no redirects, no decompression, a bounded body.

use proveil_core::attest::TrustRoots;
use proveil_core::endpoint::{Event, Opener};
use proveil_core::http::{HttpRequest, HttpResponse, Method, ResponseHead, TlsRule, TransportFailure};
use proveil_core::{Code, Error};
use proveil_testkit::sim::{SimConfig, Simulator};

use super::{API_KEY, Host, NOW, Setup};

/// A simulator with a fixed seed and time that takes one key.
pub fn simulator(change: impl FnOnce(&mut SimConfig)) -> Simulator {
    let mut config = SimConfig {
        seed: Some([5; 32]),
        now: Some(NOW),
        gpus: 2,
        slow_start_ms: 1,
        api_key: Some(API_KEY.to_owned()),
        ..SimConfig::default()
    };
    change(&mut config);
    Simulator::start(config).unwrap()
}

/// Under the simulator's roots.
pub fn setup(sim: &Simulator) -> Setup {
    let roots = TrustRoots::from_json(sim.trust_roots_json().as_bytes()).unwrap();
    let mut setup = Setup::new(&sim.base_url(), Some(&sim.collateral_url()), roots);
    setup.nvidia_url = Some(sim.nvidia_url());
    setup
}

pub struct Loopback {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    /// Raw body of the last streamed answer.
    pub last_body: Vec<u8>,
}

impl Loopback {
    pub fn new() -> Loopback {
        // Only plain HTTP is used, but together with the client's TLS features reqwest wants a provider; one may be there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        Loopback {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            client: client.build().unwrap(),
            last_body: Vec::new(),
        }
    }

    fn open(&self, request: &HttpRequest) -> Result<(ResponseHead, reqwest::Response), TransportFailure> {
        assert_eq!(*request.tls(), TlsRule::PublicCa);
        assert!(request.url().starts_with("http://127.0.0.1:"), "{}", request.url());
        let mut builder = match request.method() {
            Method::Get => self.client.get(request.url()),
            Method::Post => self.client.post(request.url()).body(request.body().to_vec()),
        };
        for header in request.headers() {
            assert_eq!(header.is_sensitive(), header.value().contains(API_KEY), "{}", header.name());
            builder = builder.header(header.name(), header.value());
        }
        let response = self.runtime.block_on(builder.send()).map_err(|_| TransportFailure::Connect)?;
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Ok((ResponseHead::new(response.status().as_u16(), headers), response))
    }

    /// The next piece of a body; `None` at its end, `Err` when the connection breaks.
    fn piece(&self, response: &mut reqwest::Response) -> Result<Option<Vec<u8>>, TransportFailure> {
        let piece = self.runtime.block_on(response.chunk()).map_err(|_| TransportFailure::Broken)?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

impl Host for Loopback {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportFailure> {
        let (head, mut response) = self.open(request)?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response)? {
            body.extend(piece);
            if body.len() > request.max_response_bytes() {
                return Err(TransportFailure::TooLarge);
            }
        }
        Ok(HttpResponse::new(head, body))
    }

    fn stream(
        &mut self,
        request: &HttpRequest,
        opener: &mut Opener,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let failed = |failure: TransportFailure| failure.error(Code::ConnectionFailed, request.purpose());
        let (head, mut response) = self.open(request).map_err(failed)?;
        self.last_body.clear();
        opener.head(&head)?;
        while let Ok(Some(piece)) = self.piece(&mut response) {
            self.last_body.extend_from_slice(&piece);
            opener.push(&piece, out)?;
        }
        Ok(())
    }
}
