"""Conformance driver for UniFFI, by its Python output: see ../../protocol.md. `cargo xtask test-uniffi` writes the module."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "target" / "uniffi" / "python"))

import proveil_uniffi as proveil  # noqa: E402


def events(values: list[proveil.Event]) -> list[list[Any]]:
    return [[event.kind.name.lower(), event.choice, event.text] for event in values]


def key_bytes(text: str) -> bytes:
    return bytes.fromhex(text)


def inspect(kind: str, text: str) -> Any:
    return json.loads(proveil.inspect(kind, text))


def open_field(key: str, field: str) -> str:
    return proveil.open_field(key_bytes(key), field).encode().hex()


def seal_field(key: str, plaintext: str) -> str:
    return proveil.seal_field(key_bytes(key), bytes.fromhex(plaintext))


def open_stream(key: str, flag: str, status: str, content_type: str, *pieces: str) -> Any:
    opener = proveil.opener_for_key(key_bytes(key), flag == "allow_whitespace_plaintext")
    seen: list[list[Any]] = []
    try:
        opener.head(int(status), [proveil.ResponseHeader(name="content-type", value=content_type)])
        for piece in pieces:
            seen += events(opener.push(bytes.fromhex(piece)))
        receipt = opener.finish()
    except proveil.ProveilError as error:
        raise Failed(error.info, seen + events(error.info.events())) from None
    names = ("id", "sealed_fields", "body_bytes", "ignored_bytes", "response_sha256")
    return {"events": seen + events(receipt.events()), "receipt": {name: getattr(receipt, name)() for name in names}}


class Failed(Exception):
    def __init__(self, info: proveil.ErrorInfo, delivered: list[list[Any]]) -> None:
        self.info = info
        self.delivered = delivered


def answer(verb: str, args: list[str]) -> dict[str, Any]:
    try:
        return {"ok": VERBS[verb](*args)}
    except Failed as failed:
        info, delivered = failed.info, failed.delivered
    except proveil.ProveilError as plain:
        info, delivered = plain.info, []
    return {"error": {"slug": info.slug(), "delivered": delivered, "found": info.details().found}}


VERBS = {"inspect": inspect, "open_field": open_field, "seal_field": seal_field, "open_stream": open_stream}

for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps({"id": call["id"], **answer(call["verb"], call["args"])}), flush=True)
