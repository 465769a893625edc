"""Memory stays flat over many cycles of everything that needs no network (style.md B9)."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import proveil
import pytest
from conftest import pieces

# The standard library has no `resource` there.
if sys.platform == "win32":
    pytest.skip("resident memory is read the POSIX way", allow_module_level=True)

import resource

CYCLES = 10_000


def resident_kib() -> int:
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def cycle(case: dict[str, Any], body: bytes) -> None:
    opener = proveil.opener_for_key(case["client_private_key"])
    opener.head(200, {"content-type": "text/event-stream"})
    opener.push(body)
    opener.finish()
    dropped = proveil.opener_for_key(case["client_private_key"])
    dropped.head(200, {"content-type": "text/event-stream"})
    try:
        dropped.push(b"data: {}{}\n\n")
    except proveil.ProveilError as error:
        assert error.slug == "malformed_event"
    exchange = proveil.Exchange("venice", "e2ee-m", "k")
    exchange.next(1_781_056_027)
    exchange.fail("connect")
    proveil.Policy.strict().to_json()


def test_memory_is_flat(stream_cases: dict[str, Any]) -> None:
    case = stream_cases["basic"]
    body = b"".join(pieces(case))
    for _ in range(CYCLES // 5):
        cycle(case, body)
    gc.collect()
    before = resident_kib()
    for _ in range(CYCLES):
        cycle(case, body)
    gc.collect()
    after = resident_kib()
    print(f"resident memory: {before} KiB, after {CYCLES} cycles {after} KiB")
    assert after < before * 1.05


def test_clients_are_given_back() -> None:
    for _ in range(20):
        proveil.Client(api_key="k").close()
    gc.collect()
    before = resident_kib()
    for _ in range(300):
        proveil.Client(api_key="k").close()
    gc.collect()
    assert resident_kib() < before * 1.05
