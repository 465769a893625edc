"""The exceptions against the registry that every language shares."""

from __future__ import annotations

import json
import pickle
from typing import Any

import proveil
import pytest
from conftest import VECTORS
from proveil import errors
from proveil._codes import ROWS

CASES: list[dict[str, Any]] = json.loads((VECTORS / "errors.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_row(case: dict[str, Any]) -> None:
    error = errors.make(case["slug"])
    assert type(error) is getattr(proveil, case["class"])
    assert isinstance(error, proveil.ProveilError)
    shown = (error.code, error.number, error.slug, error.message, error.hint, error.retryable)
    assert shown == tuple(case[name] for name in ("code", "number", "slug", "message", "hint", "retryable"))
    assert ROWS[case["slug"]][3:5] == (case["http"], case["exit"])
    assert str(error) == f"{case['code']}: {case['message']} {case['hint']}"
    assert (error.details, error.report, error.events) == ({}, None, [])


def test_nothing_beside_the_registry() -> None:
    assert set(ROWS) == {case["slug"] for case in CASES}


def test_input_errors_are_value_errors() -> None:
    assert issubclass(proveil.InputError, ValueError)
    others = [kind for kind in proveil.ProveilError.__subclasses__() if kind is not proveil.InputError]
    assert len(others) == 9 and not any(issubclass(kind, ValueError) for kind in others)


def test_native_errors_carry_their_facts() -> None:
    with pytest.raises(proveil.InputError) as caught:
        proveil.verify("venise", "m", api_key="x")
    error = caught.value
    assert (error.code, error.slug, error.details["found"]) == ("PV-104", "unknown_provider", "venise")
    assert "venice" in error.message and "[expected venice, privatemode, found venise]" in str(error)


def test_errors_survive_pickling() -> None:
    error = errors.make("quote_signature", message="No.", check="tdx.quote_signature", report_json='{"verdict":"refused"}')
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is proveil.VerificationError
    assert (str(copy), copy.details, copy.report) == (str(error), error.details, {"verdict": "refused"})


def test_unknown_causes_are_not_invented() -> None:
    with pytest.raises(KeyError):
        errors.make("no_such_cause")
