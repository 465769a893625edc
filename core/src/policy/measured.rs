//! A policy whose reference values are what a verified report measured: the start of a policy that people then look through.

use super::Policy;
use crate::attest::tdx::rules::{Expected, Register};
use crate::error::{Code, Error, Result};
use crate::report::{Document, Verdict};
use crate::wire::hex;

impl Policy {
    /// This policy, with the measurements of a report as the only accepted ones, and a reference required. `machines` also names the
    /// machines and their TDX module, which an operator with several machines changes without notice.
    ///
    /// The report is somebody's word when it was read from a file: who makes a policy from it vouches for it. Fails with
    /// `invalid_argument` for a report that is not `verified` or measured nothing.
    pub fn accepting_only(mut self, report: &Document, machines: bool) -> Result<Policy> {
        let refuse = |why: &str| Err(Error::new(Code::InvalidArgument).at("report").context(why));
        if report.verdict() != Verdict::Verified {
            return refuse("Only a verified report says what was measured.");
        }
        for fact in report.facts() {
            // A scope in front (`gateway.`) says which enclave is meant; a policy has one list for all of them.
            let name = fact.name.as_str();
            let name =
                ["gateway.", "model."].iter().find_map(|scope| name.strip_prefix(scope)).unwrap_or(name);
            match name.split_once('.') {
                Some(("tdx", name)) => self.accept_tdx(name, &fact.value, machines),
                Some(("dstack", name)) => self.accept_dstack(name, &fact.value),
                Some(("snp", name)) => self.accept_snp(name, &fact.value, machines),
                Some(("gpu", rest)) => match rest.split_once('.') {
                    Some((_, name)) => self.accept_gpu(name, &fact.value, machines),
                    None => continue,
                },
                _ => continue,
            }
        }
        if self.references.is_empty() && self.snp.measurements.is_empty() {
            return refuse("It measured no software.");
        }
        self.require_reference = true;
        Ok(self)
    }

    fn accept_tdx(&mut self, name: &str, value: &str, machines: bool) {
        let [rtmr0, rtmr1, rtmr2, _] = &mut self.references.rtmr;
        let list = match name {
            "mr_td" => &mut self.references.mr_td,
            "rtmr0" => rtmr0,
            "rtmr1" => rtmr1,
            "rtmr2" => rtmr2,
            "ppid" if machines => return add(&mut self.tdx.platform_ids, value, 16, Zero::Value),
            "mr_seam" if machines => return self.accept_register(Register::MrSeam, value, Zero::Value),
            "mr_config_id" => return self.accept_register(Register::MrConfigId, value, Zero::Unset),
            _ => return,
        };
        add(list, value, 48, Zero::Value);
    }

    fn accept_register(&mut self, register: Register, value: &str, zero: Zero) {
        let place = self.tdx.expected.iter().position(|expected| expected.register == register);
        let mut expected = match place {
            Some(place) => self.tdx.expected.remove(place),
            None => Expected { register, any_of: Vec::new() },
        };
        add(&mut expected.any_of, value, 48, zero);
        // In the order in which a document gives them; an empty list would accept nothing.
        self.tdx.expected.extend(Some(expected).filter(|expected| !expected.any_of.is_empty()));
        self.tdx.expected.sort_by_key(|expected| expected.register.name());
    }

    fn accept_dstack(&mut self, name: &str, value: &str) {
        match name {
            "compose_hash" => add(&mut self.references.compose_hash, value, 32, Zero::Value),
            "os_image_hash" => add(&mut self.references.os_image_hash, value, 32, Zero::Value),
            "app_id" => add(&mut self.references.app_id, value, 20, Zero::Value),
            _ => {}
        }
    }

    fn accept_snp(&mut self, name: &str, value: &str, machines: bool) {
        match name {
            "measurement" => add(&mut self.snp.measurements, value, 48, Zero::Value),
            "host_data" => add(&mut self.snp.host_data, value, 32, Zero::Unset),
            "id_key_digest" => add(&mut self.snp.id_key_digests, value, 48, Zero::Unset),
            "author_key_digest" => add(&mut self.snp.author_key_digests, value, 48, Zero::Unset),
            "chip_id" if machines => add(&mut self.snp.chip_ids, value, 64, Zero::Unset),
            _ => {}
        }
    }

    fn accept_gpu(&mut self, name: &str, value: &str, machines: bool) {
        let rules = &mut self.gpu_rules;
        let list = match name {
            "driver" => &mut rules.drivers,
            "vbios" => &mut rules.vbios,
            "ueid" if machines => &mut rules.ueids,
            _ => return,
        };
        // A switch states no driver.
        if value != "-" && !list.iter().any(|known| known == value) {
            list.push(value.to_owned());
            list.sort();
        }
    }
}

/// What a value of zeros means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// Itself.
    Value,
    /// That nobody set it.
    Unset,
}

fn add(list: &mut Vec<Vec<u8>>, text: &str, length: usize, zero: Zero) {
    let value = hex::decode(text).filter(|value| value.len() == length);
    let set = |value: &Vec<u8>| zero == Zero::Value || value.iter().any(|byte| *byte != 0);
    if let Some(value) = value.filter(set).filter(|value| !list.contains(value)) {
        list.push(value);
        list.sort();
    }
}
