"""Evidence bundles: the table of forged ones that every language judges, bare evidence from files, captures of the simulator."""

from __future__ import annotations

import base64
import json
import pickle
from datetime import datetime, timezone
from typing import Any

import proveil
import pytest
from conftest import ROOT, Simulator
from proveil import EvidenceBundle

FOLDER = ROOT / "tests" / "evidence" / "bundles"
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
CASES = {case["id"]: case for case in INDEX["cases"]}


def read(name: str) -> tuple[EvidenceBundle, dict[str, Any]]:
    text = (FOLDER / CASES[name]["file"]).read_text(encoding="utf-8")
    return EvidenceBundle.from_json(text), json.loads(text)


def part(text: str) -> bytes:
    return base64.b64decode(text)


@pytest.mark.parametrize("name", CASES)
def test_the_table(name: str) -> None:
    case, (bundle, document) = CASES[name], read(name)
    assert (bundle.kind, int(bundle.at.timestamp())) == (case["kind"], case["at"])
    assert json.loads(bundle.to_json()) == document
    assert EvidenceBundle.from_json(document) == bundle and hash(EvidenceBundle.from_json(document)) == hash(bundle)
    report = bundle.appraise(trust_roots=bundle.custom_roots)
    assert (report.verdict, report.level, report.code) == (case["verdict"], case["level"], case["code"])
    again = pickle.loads(pickle.dumps(bundle)).appraise(trust_roots=bundle.custom_roots)
    assert again.to_json() == report.to_json()
    # Roots that a document names vouch for nothing by themselves (threats T68).
    alone = bundle.appraise()
    assert (alone.verdict, alone.roots) == ("refused", "vendor")


@pytest.mark.parametrize("case", INDEX["malformed"], ids=lambda case: case["id"])
def test_malformed_documents(case: dict[str, Any]) -> None:
    with pytest.raises(proveil.ProveilError) as caught:
        EvidenceBundle.from_json(case["text"])
    assert caught.value.code == case["code"]


def test_other_rules() -> None:
    bundle, _ = read("tdx-honest")
    roots = bundle.custom_roots
    assert bundle.policy == proveil.Policy.standard() and roots is not None
    late = datetime.fromtimestamp(CASES["tdx-honest"]["at"] + 400 * 86_400, timezone.utc)
    assert bundle.appraise(trust_roots=roots, at=late).verdict == "indeterminate"
    strict = bundle.appraise(policy=proveil.Policy.strict(), trust_roots=roots)
    assert (strict.policy_name, strict.verdict) == ("strict", "verified"), "its registers are named"


def test_bare_snp() -> None:
    bundle, document = read("snp-honest")
    given, at, roots = document["snp"], document["at"], bundle.custom_roots
    files = [part(given[name]) for name in ("crl", "vcek", "report", "root", "issuer")]
    expected = given["expected"]
    made = EvidenceBundle.snp(files, **expected, trust_roots=roots, at=at)
    assert made.appraise().verdict == "verified" and made == bundle
    assert EvidenceBundle.snp(files, measurement=bytes(48), trust_roots=roots, at=at).appraise().code == "PV-260"
    assert EvidenceBundle.snp(files[1:3], at=at).appraise().verdict == "refused", "the vendors know nothing of it"
    with pytest.raises(proveil.InputError):
        EvidenceBundle.snp(files, measurement=b"short")
    with pytest.raises(proveil.ConfigError) as caught:
        EvidenceBundle.snp(files[:2])
    assert caught.value.slug == "evidence_invalid"


def test_bare_tdx() -> None:
    bundle, document = read("tdx-honest")
    given, at, roots = document["tdx"], document["at"], bundle.custom_roots
    files = [json.dumps(given["collateral"][0]).encode(), part(given["quote"])]
    made = EvidenceBundle.tdx(files, **given["expected"], trust_roots=roots, at=at)
    assert made.appraise().level == "L3" and made == bundle
    short = EvidenceBundle.tdx(files, report_data=bytes.fromhex(given["expected"]["report_data"])[:8], trust_roots=roots, at=at)
    assert short.appraise().level == "L2"
    wrong = EvidenceBundle.tdx(files, rtmr0=bytes(48), trust_roots=roots, at=at)
    assert wrong.appraise().code == "PV-260"
    assert EvidenceBundle.tdx(files[1:], trust_roots=roots, at=at).appraise().code == "PV-303"


def test_bare_nvidia() -> None:
    bundle, document = read("nvidia-honest")
    given, at, roots = document["nvidia"], document["at"], bundle.custom_roots
    said = given["endorsements"]
    files = [part(device[name]) for device in given["devices"] for name in ("chain", "report")]
    files += [part(rim["xml"]) for rim in said["rims"]] + [part(answer) for answer in said["ocsp"]]
    files += [part(said["nras"][0]["jwks"]), part(said["nras"][0]["tokens"])]
    made = EvidenceBundle.nvidia(files, given["nonce"], trust_roots=roots, at=at)
    assert (made.kind, made.appraise().verdict) == ("nvidia", "verified")
    other = EvidenceBundle.nvidia(files, bytes(32), trust_roots=roots, at=at)
    assert other.appraise().code == "PV-215"
    with pytest.raises(proveil.InputError):
        EvidenceBundle.nvidia(files, b"short")


@pytest.mark.parametrize(("defect", "verdict"), [("", "verified"), ("tampered-quote", "refused"), ("collateral-down", "indeterminate")])
def test_a_capture(simulator: Simulator, defect: str, verdict: str) -> None:
    simulator.tell(f"defects {defect}".strip())
    with proveil.Client(simulator.config()) as client:
        bundle = client.capture("e2ee-sim-27b")
    report = bundle.appraise()
    assert (bundle.kind, report.verdict, report.roots) == ("provider", verdict, "custom")
    text = bundle.to_json()
    assert "test-key" not in text
    kept = EvidenceBundle.from_json(text)
    assert kept.appraise(trust_roots=kept.custom_roots).to_json() == report.to_json()
