//! Any bytes as an evidence bundle, and as a file of bare evidence.

use proveil_core::Error;
use proveil_core::appraise::{SnpExpectations, TdxExpectations};
use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::error::{Class, Code};
use proveil_core::report::Verdict;

use super::seeds::NONCE;

/// A bundle that can be read is written to the same text again, in both forms, and is nobody's proof without the roots that it names.
pub fn evidence_bundle(data: &[u8]) {
    match EvidenceBundle::from_json(data) {
        Ok(bundle) => judge(&bundle),
        Err(error) => {
            let class = error.code().class();
            assert!(matches!(class, Class::Config | Class::Input | Class::Limit), "{error}");
        }
    }
    let _ = Evidence::snp(&[data], SnpExpectations::default());
    let _ = Evidence::tdx(&[data], TdxExpectations::default());
    let _ = Evidence::nvidia(&[data, data], NONCE);
}

fn judge(bundle: &EvidenceBundle) {
    let text = bundle.to_json();
    let again = EvidenceBundle::from_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_json(), text);
    let files = bundle.to_files();
    let unpacked = EvidenceBundle::from_files(&mut |name, max| {
        let file = files.iter().find(|file| file.name == name && file.bytes.len() <= max);
        file.map(|file| file.bytes.clone()).ok_or_else(|| Error::new(Code::FileUnreadable))
    });
    assert_eq!(unpacked.expect("the files can be read").to_json(), text);
    let (report, result) = bundle.appraise(None, None, None);
    assert_ne!(report.verdict(), Verdict::Verified, "forged for other roots");
    assert!(result.is_err());
    let own = bundle.appraise(None, bundle.custom_roots(), None).0;
    assert_eq!(again.appraise(None, again.custom_roots(), None).0.to_json(), own.to_json());
}
