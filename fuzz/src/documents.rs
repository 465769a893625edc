//! Fuzz targets for the documents that people and this program write: policies and files of pins.

use proveil_core::Code;
use proveil_core::pin::{differences, read_pins, write_pins};
use proveil_core::policy::Policy;

/// A policy. One that is accepted comes back from its canonical form, and has nothing that no policy may have.
pub fn policy_document(data: &[u8]) {
    match Policy::from_json(data) {
        Ok(policy) => {
            let text = policy.to_json();
            let again = Policy::from_json(text.as_bytes()).expect("a canonical form");
            assert_eq!((again.to_json(), again.sha256()), (text, policy.sha256()));
            assert!(policy.differences(&again).is_empty());
            let standard = Policy::standard();
            assert_eq!(standard.differences(&policy).len(), policy.differences(&standard).len());
            assert!(!policy.tdx().allow_debug && !policy.tdx().allow_migratable && !policy.snp().allow_debug);
            let _ = policy.relaxations();
        }
        Err(error) => assert_eq!(error.code(), Code::PolicyInvalid),
    }
}

/// A file of pins. One that is accepted comes back, and any two pins of it can be compared.
pub fn pins_file(data: &[u8]) {
    match read_pins(data) {
        Ok(pins) => {
            let text = write_pins(&pins);
            let again = read_pins(text.as_bytes()).expect("what was written");
            assert_eq!((again.len(), write_pins(&again)), (pins.len(), text));
            for pair in pins.windows(2) {
                let [a, b] = pair else { continue };
                let same = a.software.sha256() == b.software.sha256();
                let found = differences(&a.software, &b.software);
                assert!(same || !found.is_empty(), "software that differs, and nowhere");
                assert!(found.iter().all(|one| one.to_string().len() < 2000));
            }
        }
        Err(error) => assert_eq!(error.code(), Code::PinsInvalid),
    }
}

/// Whether a seed is accepted.
pub fn is_accepted(target: &str, data: &[u8]) -> bool {
    match target {
        "policy_document" => Policy::from_json(data).is_ok(),
        "pins_file" => read_pins(data).is_ok_and(|pins| pins.len() == 2),
        _ => false,
    }
}
