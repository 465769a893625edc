//! Section `snp` of a policy.

use super::members::{Members, hex_texts, texts, unknown};
use crate::attest::snp::rules::{Minimum, Processor, SnpPolicy};
use crate::error::Result;
use crate::wire::json::Json;

const MEMBERS: &[&str] = &[
    "allow_cxl",
    "allow_hidden_chip_id",
    "allow_provisional_firmware",
    "allow_smt",
    "author_key_digests",
    "chip_ids",
    "csp_ids",
    "host_data",
    "id_key_digests",
    "measurements",
    "min_guest_svn",
    "minimum",
    "require_alias_check",
    "require_ciphertext_hiding",
    "require_crl",
    "require_minimum",
    "require_single_socket",
    "vmpls",
];
/// Members of one minimum, all of them needed but `fmc`, which only Turin has.
const MINIMUM: &[&str] = &["fmc", "bootloader", "tee", "snp", "microcode", "build", "abi"];

/// Reads the section. Debug guests and migration agents cannot be allowed by a document.
pub(super) fn read(members: &Members<'_>, snp: &mut SnpPolicy) -> Result<()> {
    members.only(MEMBERS)?;
    members.flag("allow_cxl", &mut snp.allow_cxl)?;
    members.flag("allow_hidden_chip_id", &mut snp.allow_hidden_chip_id)?;
    members.flag("allow_provisional_firmware", &mut snp.allow_provisional_firmware)?;
    members.flag("allow_smt", &mut snp.allow_smt)?;
    members.flag("require_alias_check", &mut snp.require_alias_check)?;
    members.flag("require_ciphertext_hiding", &mut snp.require_ciphertext_hiding)?;
    members.flag("require_crl", &mut snp.require_crl)?;
    members.flag("require_minimum", &mut snp.require_minimum)?;
    members.flag("require_single_socket", &mut snp.require_single_socket)?;
    if let Some(svn) = members.number("min_guest_svn")? {
        snp.min_guest_svn = u32::try_from(svn).map_err(|_| members.invalid("min_guest_svn"))?;
    }
    members.words(
        "csp_ids",
        "a name of 1 to 256 bytes",
        |id| (1..=256).contains(&id.len()),
        &mut snp.csp_ids,
    )?;
    for (name, list, lengths) in [
        ("author_key_digests", &mut snp.author_key_digests, &[48][..]),
        ("chip_ids", &mut snp.chip_ids, &[8, 64]),
        ("host_data", &mut snp.host_data, &[32]),
        ("id_key_digests", &mut snp.id_key_digests, &[48]),
        ("measurements", &mut snp.measurements, &[48]),
    ] {
        members.hex_values(name, lengths, list)?;
    }
    read_vmpls(members, snp)?;
    read_minimum(members, snp)
}

fn read_vmpls(members: &Members<'_>, snp: &mut SnpPolicy) -> Result<()> {
    let Some(value) = members.get("vmpls") else { return Ok(()) };
    let levels: Option<Vec<u8>> = value.as_array().and_then(|list| {
        let level = |value: &Json| value.as_u64().and_then(|level| u8::try_from(level).ok());
        list.iter().map(|value| level(value).filter(|level| *level <= 3)).collect()
    });
    let wrong = || members.invalid("vmpls").expected("one or more numbers from 0 to 3");
    snp.vmpls = levels.filter(|levels| !levels.is_empty()).ok_or_else(wrong)?;
    snp.vmpls.sort_unstable();
    snp.vmpls.dedup();
    Ok(())
}

/// Reads `minimum`: an object with one member per processor family; `null` takes a family's minimum away.
fn read_minimum(members: &Members<'_>, snp: &mut SnpPolicy) -> Result<()> {
    let Some(value) = members.get("minimum") else { return Ok(()) };
    let families = Members::of(value, "snp.minimum.")?;
    for (name, value) in families.members {
        let family = Processor::ALL.into_iter().find(|family| family.name() == name);
        let names = Processor::ALL.map(Processor::name);
        let family = family.ok_or_else(|| unknown(&format!("snp.minimum.{name}"), name, &names))?;
        snp.minimum.retain(|(known, _)| *known != family);
        if *value != Json::Null {
            snp.minimum.push((family, one_minimum(name, value)?));
        }
    }
    snp.minimum.sort_by_key(|(family, _)| *family);
    Ok(())
}

fn one_minimum(family: &str, value: &Json) -> Result<Minimum> {
    let members =
        Members::of(value, "snp.minimum.").map_err(|error| error.at(format!("snp.minimum.{family}")))?;
    if let Some((name, _)) = members.members.iter().find(|(name, _)| !MINIMUM.contains(&name.as_str())) {
        return Err(unknown(&members.place(&format!("{family}.{name}")), name, MINIMUM));
    }
    let level = |name: &str| {
        let level = members.get(name).and_then(Json::as_u64).and_then(|level| u8::try_from(level).ok());
        level.ok_or_else(|| members.invalid(&format!("{family}.{name}")).expected("a number from 0 to 255"))
    };
    let mut minimum = Minimum { build: level("build")?, ..Minimum::default() };
    minimum.tcb.fmc = if members.get("fmc").is_some() { level("fmc")? } else { 0 };
    minimum.tcb.bootloader = level("bootloader")?;
    minimum.tcb.tee = level("tee")?;
    minimum.tcb.snp = level("snp")?;
    minimum.tcb.microcode = level("microcode")?;
    let abi = members.get("abi").and_then(Json::as_str).and_then(|abi| abi.split_once('.'));
    let abi = abi.and_then(|(major, minor)| Some((decimal(major)?, decimal(minor)?)));
    minimum.abi =
        abi.ok_or_else(|| members.invalid(&format!("{family}.abi")).expected("a text such as 1.55"))?;
    Ok(minimum)
}

/// Decimal digits without sign or leading zero.
fn decimal(text: &str) -> Option<u8> {
    text.parse().ok().filter(|value: &u8| value.to_string() == text)
}

/// Every member, for the canonical form.
pub(super) fn write(snp: &SnpPolicy) -> Vec<(&'static str, Json)> {
    let text = |text: &str| Json::String(text.to_owned());
    let number = |value: u32| Json::Number(value.into());
    let minimum = |minimum: &Minimum| {
        let parts =
            minimum.tcb.parts().into_iter().map(|(name, level)| (name.to_owned(), number(level.into())));
        let (major, minor) = minimum.abi;
        let rest = [
            ("build".to_owned(), number(minimum.build.into())),
            ("abi".to_owned(), text(&format!("{major}.{minor}"))),
        ];
        Json::Object(parts.chain(rest).collect())
    };
    let families = Processor::ALL
        .map(|family| (family.name().to_owned(), snp.minimum_of(family).map_or(Json::Null, minimum)));
    vec![
        ("allow_cxl", Json::Bool(snp.allow_cxl)),
        ("allow_hidden_chip_id", Json::Bool(snp.allow_hidden_chip_id)),
        ("allow_provisional_firmware", Json::Bool(snp.allow_provisional_firmware)),
        ("allow_smt", Json::Bool(snp.allow_smt)),
        ("author_key_digests", hex_texts(&snp.author_key_digests)),
        ("chip_ids", hex_texts(&snp.chip_ids)),
        ("csp_ids", texts(&snp.csp_ids)),
        ("host_data", hex_texts(&snp.host_data)),
        ("id_key_digests", hex_texts(&snp.id_key_digests)),
        ("measurements", hex_texts(&snp.measurements)),
        ("min_guest_svn", number(snp.min_guest_svn)),
        ("minimum", Json::Object(families.into())),
        ("require_alias_check", Json::Bool(snp.require_alias_check)),
        ("require_ciphertext_hiding", Json::Bool(snp.require_ciphertext_hiding)),
        ("require_crl", Json::Bool(snp.require_crl)),
        ("require_minimum", Json::Bool(snp.require_minimum)),
        ("require_single_socket", Json::Bool(snp.require_single_socket)),
        ("vmpls", Json::Array(snp.vmpls.iter().map(|level| number((*level).into())).collect())),
    ]
}

/// Every way in which this accepts more than the default, in words.
pub(in crate::policy) fn relaxations(snp: &SnpPolicy) -> Vec<String> {
    let standard = SnpPolicy::default();
    let mut out = Vec::new();
    for level in snp.vmpls.iter().filter(|level| !standard.vmpls.contains(level)) {
        out.push(format!("SNP reports from privilege level {level} are accepted"));
    }
    for csp_id in &snp.csp_ids {
        out.push(format!("SNP reports by the key of {csp_id}, which names no machine, are accepted"));
    }
    for (relaxed, words) in [
        (snp.allow_provisional_firmware, "provisional SNP firmware is accepted"),
        (snp.allow_hidden_chip_id, "SNP reports that do not name their chip are accepted"),
    ] {
        if relaxed {
            out.push(words.to_owned());
        }
    }
    for (family, standard) in &standard.minimum {
        let kept = snp.minimum_of(*family).is_some_and(|minimum| {
            minimum.tcb.reaches(&standard.tcb)
                && minimum.build >= standard.build
                && minimum.abi >= standard.abi
        });
        if !kept {
            out.push(format!(
                "SNP patch levels of {} below the standard minimum are accepted",
                family.name()
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::error::Code;
    use crate::policy::Policy;

    fn read(section: &str) -> crate::Result<Policy> {
        Policy::from_json(format!("{{\"schema\":\"proveil.policy/v1\",\"snp\":{section}}}").as_bytes())
    }

    #[test]
    fn every_member_round_trips() {
        let digest = "ab".repeat(48);
        let section = format!(
            "{{\"allow_cxl\":false,\"allow_hidden_chip_id\":true,\"allow_provisional_firmware\":true,\"allow_smt\":false,\
             \"author_key_digests\":[\"{digest}\"],\"chip_ids\":[\"0102030405060708\",\"{}\"],\"csp_ids\":[\"CN=b\",\"CN=a\"],\
             \"host_data\":[\"{}\"],\"id_key_digests\":[\"{digest}\"],\"measurements\":[\"{digest}\",\"0x{digest}\"],\
             \"min_guest_svn\":2,\"minimum\":{{\"genoa\":null,\"turin\":{{\"fmc\":1,\"bootloader\":2,\"tee\":3,\"snp\":4,\
             \"microcode\":5,\"build\":6,\"abi\":\"1.58\"}}}},\"require_alias_check\":true,\"require_ciphertext_hiding\":true,\
             \"require_crl\":true,\"require_minimum\":true,\"require_single_socket\":true,\"vmpls\":[3,1,3]}}",
            "cd".repeat(64),
            "ef".repeat(32),
        );
        let policy = read(&section).unwrap();
        let snp = policy.snp();
        assert_eq!((snp.vmpls.as_slice(), snp.measurements.len(), snp.minimum.len()), (&[1, 3][..], 1, 1));
        assert_eq!(Policy::from_json(policy.to_json().as_bytes()).unwrap(), policy);
        let standard = Policy::standard();
        assert_ne!(policy.sha256(), standard.sha256());
        assert_eq!(policy.relaxations().len(), 7, "{:?}", policy.relaxations());
        assert!(standard.relaxations().is_empty() && Policy::strict().relaxations().is_empty());
    }

    #[test]
    fn refusals_name_the_member() {
        let minimum = |minimum: &str| format!("{{\"minimum\":{{\"milan\":{minimum}}}}}");
        let cases = [
            ("7".to_owned(), "snp"),
            ("{\"allow_debug\":true}".to_owned(), "snp.allow_debug"),
            ("{\"allow_migration_agent\":true}".to_owned(), "snp.allow_migration_agent"),
            ("{\"vmpls\":[]}".to_owned(), "snp.vmpls"),
            ("{\"vmpls\":[4]}".to_owned(), "snp.vmpls"),
            ("{\"vmpls\":0}".to_owned(), "snp.vmpls"),
            ("{\"chip_ids\":[\"00\"]}".to_owned(), "snp.chip_ids[0]"),
            ("{\"measurements\":[\"zz\"]}".to_owned(), "snp.measurements[0]"),
            ("{\"min_guest_svn\":4294967296}".to_owned(), "snp.min_guest_svn"),
            ("{\"minimum\":{\"rome\":null}}".to_owned(), "snp.minimum.rome"),
            (minimum("{}"), "snp.minimum.milan.build"),
            (minimum("{\"ucode\":1}"), "snp.minimum.milan.ucode"),
            (
                minimum(
                    "{\"bootloader\":256,\"tee\":0,\"snp\":0,\"microcode\":0,\"build\":0,\"abi\":\"1.55\"}",
                ),
                "snp.minimum.milan.bootloader",
            ),
            (
                minimum(
                    "{\"bootloader\":0,\"tee\":0,\"snp\":0,\"microcode\":0,\"build\":0,\"abi\":\"1.055\"}",
                ),
                "snp.minimum.milan.abi",
            ),
        ];
        for (section, member) in cases {
            let error = read(&section).unwrap_err();
            assert_eq!((error.code(), error.check()), (Code::PolicyInvalid, Some(member)), "{section}");
        }
        let error = read("{\"vmpl\":[0]}").unwrap_err();
        assert!(error.message().contains("`vmpls`"), "{error}");
    }
}
