"""A captured answer of a real deployment, judged offline; without the capture one skip line says so."""

from __future__ import annotations

import json
from typing import Any

import proveil
import pytest
from conftest import EVIDENCE

FOLDER = EVIDENCE / "composite"


@pytest.fixture(scope="module")
def captured() -> dict[str, Any]:
    # Captured evidence is not part of the repository (README decision 7): without it there is nothing to judge.
    if not (FOLDER / "index.json").is_file():
        pytest.skip(f"no captured evidence at {EVIDENCE}")
    samples = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["samples"]
    sample: dict[str, Any] = next(sample for sample in samples if sample["kind"] == "venice")
    return {
        "provider": "venice",
        "response": (FOLDER / sample["files"]["response"]).read_bytes(),
        "nonce": sample["client_nonce"],
        "collateral": [(FOLDER / name).read_text(encoding="utf-8") for name in sample["files"]["collateral"]],
        "at": sample["verify_time"],
    }


def test_a_real_deployment(captured: dict[str, Any]) -> None:
    report = proveil.verify_evidence(**captured)
    assert (report.verdict, report.level, report.roots, report.code) == ("verified", "L2", "vendor", None)
    assert report.not_proven and "CUSTOM" not in report.headline
    assert proveil.verify_evidence(**captured).to_json() == report.to_json(), "deterministic"


def test_another_byte_another_time_another_nonce(captured: dict[str, Any]) -> None:
    answer = json.loads(captured["response"])
    quote = answer["intel_quote"]
    at = len(quote) // 4
    answer["intel_quote"] = quote[:at] + ("0" if quote[at] != "0" else "1") + quote[at + 1 :]
    changed = proveil.verify_evidence(**{**captured, "response": answer})
    assert changed.verdict == "refused" and changed.code and changed.level is None
    late = proveil.verify_evidence(**{**captured, "at": captured["at"] + 400 * 86_400})
    assert late.verdict == "indeterminate" and late.code and late.code.startswith("PV-3")
    replayed = proveil.verify_evidence(**{**captured, "nonce": bytes(32)})
    assert (replayed.verdict, replayed.code) == ("refused", "PV-201")
    without = proveil.verify_evidence(**{**captured, "collateral": []})
    assert (without.verdict, without.code) == ("indeterminate", "PV-303")
