"""How the public API is used, for the type checkers: mypy --strict and pyright read this, nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import proveil
from proveil import Config, Event, Policy, Report, TrustRoots
from proveil.errors import ProveilError
from typing_extensions import assert_type


def blocking(config: Config) -> Iterator[str]:
    with proveil.Client(config, policy=Policy.strict(), cache_dir=None) as client:
        assert_type(client.verify("m"), Report)
        assert_type(client.ready("m"), proveil.VerifiedEndpoint)
        for model in client.models():
            assert_type(model["id"], str)
        stream = client.chat(model="m", messages=[{"role": "user", "content": "x"}], temperature=0.1)
        for event in stream:
            assert_type(event, Event)
            if event.kind == "content":
                yield event.text
        assert_type(stream.receipt, "proveil.Receipt | None")
        assert_type(stream.verify_signature(), str)
        assert_type(client.send("/v1/messages", {"model": "m"}), proveil.Stream)
        assert_type(client.embeddings({"model": "m", "input": "x"}), str)
        assert_type(client.transcriptions(b"", "multipart/form-data; boundary=b"), str)


async def awaiting() -> AsyncIterator[str]:
    async with proveil.AsyncClient(provider="venice", api_key_env="KEY", timeouts=proveil.Timeouts(idle_s=3)) as client:
        assert_type(await client.verify("m"), Report)
        stream = await client.chat(model="m", messages=[])
        async for event in stream:
            assert_type(event, Event)
        async for text in stream.text():
            yield text


def exchange(key: str) -> bytes:
    machine = proveil.Exchange("venice", "m", key, policy=Policy.standard(), collateral=["{}"])
    step = machine.next(at=1_781_056_027)
    if isinstance(step, proveil.Outcome):
        sealed, opener = step.endpoint().seal({"model": "m", "messages": []})
        opener.head(200, {"content-type": "text/event-stream"})
        assert_type(opener.push(memoryview(b"")), "list[Event]")
        assert_type(opener.push_text(bytearray()), "list[str]")
        return sealed.request.body
    machine.feed(200, [("content-type", "application/json")], b"{}")
    assert_type(step.headers, "list[tuple[str, str]]")
    return step.body


def offline(response: bytes, nonce: bytes, at: datetime) -> dict[str, Any]:
    roots: TrustRoots | None = None
    report = proveil.verify("venice", "m", evidence=response, nonce=nonce, collateral="{}", at=at, trust_roots=roots)
    try:
        proveil.open_field(bytes(32), "00")
    except proveil.InputError as error:
        assert_type(error.details, "dict[str, str]")
        problem: ValueError = error
        raise problem from None
    except ProveilError as error:
        assert_type(error.events, "list[Event]")
    assert_type(report.valid_until, "datetime | None")
    return report.to_dict()
