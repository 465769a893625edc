"""Secrets stay out of texts (threats I7) and panics stay inside (threats T64)."""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Callable
from typing import Any

import proveil
import pytest
from conftest import pieces
from proveil import _core

CANARY = "canary-b81d44"


def test_nothing_prints_a_secret(stream_cases: dict[str, Any]) -> None:
    case = stream_cases["basic"]
    opener = proveil.opener_for_key(case["client_private_key"])
    opener.head(200, {"content-type": "text/event-stream", "x": CANARY})
    events = [event for piece in pieces(case) for event in opener.push(piece)]
    exchange = proveil.Exchange("venice", "e2ee-m", CANARY)
    request = exchange.next(1_781_056_027)
    assert isinstance(request, proveil.HttpRequest)
    shown = [opener, exchange, request, *events, opener.finish(), proveil.Client(api_key=CANARY), proveil.AsyncClient(api_key=CANARY)]
    texts = "\n".join(f"{value!r} {value}" for value in shown)
    for secret in (CANARY, case["client_private_key"], "Hello", "world"):
        assert secret not in texts
    assert request.sensitive and any(CANARY in value for _, value in request.headers), "the canary was really there"


@pytest.mark.parametrize(
    "body",
    [
        "{" + CANARY,
        f'{{"model":"{CANARY}","model":"x"}}'.encode(),
        {"prompt": CANARY + "\ud800"},
        {"prompt": CANARY, "bad": object()},
        {"prompt": CANARY, "bad": float("nan")},
    ],
)
def test_bad_input_is_not_repeated(body: Any) -> None:
    with pytest.raises(proveil.ProveilError) as caught:
        proveil.inspect("venice.request", body)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert CANARY not in repr(caught.value.details)


def test_private_keys_are_not_repeated() -> None:
    key = "c0ffee" * 10
    for call in (lambda: proveil.open_field(key, "00"), lambda: proveil.opener_for_key(key.encode())):
        with pytest.raises(proveil.ProveilError) as caught:
            call()
        assert "c0ffee" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.skipif(not hasattr(_core, "_test_panic"), reason="the wheel was built without the feature test-entry")
def test_a_panic_is_an_internal_error_without_its_text(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = "import proveil, proveil._core as core\ntry: core._test_panic()\nexcept proveil.InternalError as e: print(e)\nproveil.Policy.standard()"
    result = run_python(program)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("PV-902: ") and "canary" not in result.stdout


def test_released_wheels_cannot_panic_on_purpose() -> None:
    assert "_test_panic" not in proveil.__all__ and not hasattr(proveil, "_test_panic")
