//! What cannot be done with the types that stand for a proof: the traits that would let one be made or multiplied from outside are
//! absent. That no expression builds one is shown by the examples of `proveil_core::typestate`, which must not compile.

#![allow(clippy::unwrap_used)]

use std::marker::PhantomData;

use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::VerifiedCollateral;
use proveil_core::claims::{DstackClaims, GpuClaims, TdxClaims, Verified};
use proveil_core::endpoint::{Opener, Outcome, SealedRequest, VerifiedEndpoint};
use proveil_core::http::HttpRequest;
use proveil_core::policy::Accepted;
use proveil_core::provider::Exchange;
use proveil_core::secret::{Secret, SecretText};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a type has a trait: an inherent constant is preferred over one of a trait, and exists only under the bound.
macro_rules! has {
    ($type:ty: $($bound:tt)+) => {{
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code)]
        impl<T: ?Sized + $($bound)+> Probe<T> {
            const YES: bool = true;
        }
        <Probe<$type>>::YES
    }};
}

macro_rules! traits_of {
    ($($type:ty),+ $(,)?) => {
        [$((
            stringify!($type),
            [
                ("Clone", has!($type: Clone)),
                ("Copy", has!($type: Copy)),
                ("Default", has!($type: Default)),
                ("DeserializeOwned", has!($type: DeserializeOwned)),
                ("Serialize", has!($type: Serialize)),
                ("From<Vec<u8>>", has!($type: From<Vec<u8>>)),
                ("From<String>", has!($type: From<String>)),
                ("FromStr", has!($type: std::str::FromStr)),
                ("PartialEq", has!($type: PartialEq)),
            ],
        )),+]
    };
}

#[test]
fn proofs_are_not_made_from_outside() {
    let rows = traits_of![
        Verified<TdxClaims>,
        Verified<DstackClaims>,
        Verified<GpuClaims>,
        Verified<u8>,
        VerifiedCollateral,
        Accepted,
        VerifiedEndpoint,
        SealedRequest,
        Outcome,
        Opener,
        Exchange,
    ];
    for (name, traits) in rows {
        let present: Vec<&str> = traits.into_iter().filter(|(_, yes)| *yes).map(|(name, _)| name).collect();
        assert!(present.is_empty(), "{name}: {present:?}");
    }
}

/// A request can be read and sent again by a host that lost the connection before anything was sent, but never made or changed.
#[test]
fn requests_are_not_made_from_outside() {
    let [(name, traits)] = traits_of![HttpRequest];
    let present: Vec<&str> = traits.into_iter().filter(|(_, yes)| *yes).map(|(name, _)| name).collect();
    assert_eq!(present, ["Clone"], "{name}");
}

/// Secrets are not copied, printed or written by accident (threats I7, T34).
#[test]
fn secrets_do_not_multiply() {
    for (name, traits) in traits_of![Secret<32>, SecretText] {
        let present: Vec<&str> = traits.into_iter().filter(|(_, yes)| *yes).map(|(name, _)| name).collect();
        assert!(present.iter().all(|name| *name == "PartialEq"), "{name}: {present:?}");
    }
    assert!(!has!(Secret<32>: std::fmt::Display) && !has!(SecretText: std::fmt::Display));
    assert!(!has!(Secret<32>: AsRef<[u8]>) && !has!(SecretText: AsRef<str>));
    let shown = format!("{:?} {:?}", Secret::take(&mut [0x41; 32]), SecretText::new("canary".to_owned()));
    assert!(!shown.contains("canary") && !shown.contains("AAAA") && !shown.contains("65"), "{shown}");
}

/// The probe tells yes from no.
#[test]
fn the_probe_works() {
    assert!(
        has!(String: Clone) && has!(u8: Copy) && has!(TrustRoots: Default) && has!(Vec<u8>: DeserializeOwned)
    );
    assert!(!has!(str: Sized) && !has!(std::fs::File: Clone));
}

/// What a host needs to share a proof is there: references across threads.
#[test]
fn an_endpoint_is_shared_behind_a_reference() {
    assert!(has!(VerifiedEndpoint: Send) && has!(VerifiedEndpoint: Sync));
    assert!(has!(Opener: Send) && has!(Exchange: Send));
}
