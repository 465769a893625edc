"""Conformance driver for Python: see ../../protocol.md."""

from __future__ import annotations

import json
import sys
from typing import Any

import proveil


def events(values: list[proveil.Event]) -> list[list[Any]]:
    return [[event.kind, event.choice, event.text] for event in values]


def inspect(kind: str, text: str) -> Any:
    return proveil.inspect(kind, text)


def open_field(key: str, field: str) -> str:
    return proveil.open_field(key, field).encode().hex()


def seal_field(key: str, plaintext: str) -> str:
    return proveil.seal_field(key, bytes.fromhex(plaintext))


def open_stream(key: str, flag: str, status: str, content_type: str, *pieces: str) -> Any:
    opener = proveil.opener_for_key(key, flag == "allow_whitespace_plaintext")
    seen: list[list[Any]] = []
    try:
        opener.head(int(status), {"content-type": content_type})
        for piece in pieces:
            seen += events(opener.push(bytes.fromhex(piece)))
        receipt = opener.finish()
    except proveil.ProveilError as error:
        raise Failed(error, seen + events(error.events)) from None
    names = ("id", "sealed_fields", "body_bytes", "ignored_bytes", "response_sha256")
    return {"events": seen + events(receipt.events), "receipt": {name: getattr(receipt, name) for name in names}}


class Failed(Exception):
    def __init__(self, error: proveil.ProveilError, delivered: list[list[Any]]) -> None:
        self.error = error
        self.delivered = delivered


def answer(verb: str, args: list[str]) -> dict[str, Any]:
    try:
        return {"ok": VERBS[verb](*args)}
    except Failed as failed:
        error, delivered = failed.error, failed.delivered
    except proveil.ProveilError as plain:
        error, delivered = plain, []
    return {"error": {"slug": error.slug, "delivered": delivered, "found": error.details.get("found")}}


VERBS = {"inspect": inspect, "open_field": open_field, "seal_field": seal_field, "open_stream": open_stream}

for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps({"id": call["id"], **answer(call["verb"], call["args"])}), flush=True)
