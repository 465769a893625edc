"""What the sets of vectors share: calls as generators, and comparisons that say what differs."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

Json = Any
# A case yields calls, (verb, argument, ...), and is sent the answers.
Steps = Generator[tuple[str, ...], Json, None]


class Mismatch(Exception):
    """The answer is not the expected one."""


def members(case: Json, *names: str) -> Json:
    return {name: case[name] for name in names if name in case}


def want_ok(answer: Json) -> Json:
    if "ok" not in answer:
        raise Mismatch(f"expected success, got {answer['error']['slug']}")
    return answer["ok"]


def want_slug(answer: Json, *slugs: str) -> Json:
    if "ok" in answer:
        raise Mismatch(f"expected {' or '.join(slugs)}, got success")
    if answer["error"]["slug"] not in slugs:
        raise Mismatch(f"expected {' or '.join(slugs)}, got {answer['error']['slug']}")
    return answer["error"]


def want_equal(what: str, found: Json, expected: Json) -> None:
    if found != expected:
        raise Mismatch(f"{what}: expected {short(expected)}, got {short(found)}")


def want_members(found: Json, expected: Json) -> None:
    for name, value in expected.items():
        want_equal(name, found.get(name), value)


def short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
