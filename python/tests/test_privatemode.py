"""Privatemode against its simulator: every endpoint round, refusals and broken answers with their own errors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import struct
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import proveil
import pytest
from conftest import WATCHDOG_S, Simulator
from proveil._codes import ROWS

CHATTER, EMBEDDER, TRANSCRIBER = "sim-kimi-2", "sim-embedding-4b", "openai/sim-whisper-3"
CANARY = "canary-88b1f0"
MESSAGES = [{"role": "user", "content": f"What is remote attestation? {CANARY}"}]
CHAT = {"model": CHATTER, "messages": MESSAGES}
EMBED = {"model": EMBEDDER, "input": [CANARY, "two"], "dimensions": 8}


def form(recording: bytes) -> tuple[bytes, str]:
    """An upload as OpenAI's clients make it, and its content type."""
    parts = [
        b'Content-Disposition: form-data; name="model"\r\n\r\n' + TRANSCRIBER.encode(),
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n' + recording,
    ]
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return body, "multipart/form-data; boundary=edge"


def wav() -> bytes:
    """A second of a ramp, 8-bit mono at 8 kHz."""
    samples = bytes(index % 256 for index in range(8000))
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", len(samples))
    return head + samples


def caption(recording: bytes) -> str:
    """What the simulated model hears."""
    return f"A recording of {len(recording)} bytes with the checksum {hashlib.sha256(recording).hexdigest()[:16]}."


@pytest.mark.parametrize("streamed", [False, True])
def test_chat(privatemode: Simulator, streamed: bool) -> None:
    with proveil.Client(privatemode.config()) as client:
        assert {model["id"]: model["class"] for model in client.models()}[CHATTER] == "e2ee"
        with client.chat(model=CHATTER, messages=MESSAGES, stream=streamed) as stream:
            events = list(stream)
            assert "remote attestation" in "".join(event.text for event in events if event.kind == "content")
            assert [event.text for event in events if event.kind == "finish"] == ["stop"]
            assert (sum(event.kind == "content" for event in events) > 1) == streamed
            assert stream.report.verdict == "verified" and stream.report.provider == "privatemode"
            assert stream.receipt is not None and stream.receipt.sealed_fields > 0
        function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
        asked = [{"role": "user", "content": "Please use the tool."}]
        tools = [{"type": "function", "function": function}]
        with client.chat(model=CHATTER, messages=asked, tools=tools, stream=streamed) as stream:
            events = list(stream)
        choices = [json.loads(event.text)["choices"][0] for event in events if event.kind == "document"]
        calls = [choice["delta" if streamed else "message"]["tool_calls"][0]["function"] for choice in choices]
        assert "".join(call.get("name", "") for call in calls) == "weather" and (len(calls) > 1) == streamed
        assert json.loads("".join(call["arguments"] for call in calls)) == {"city": "Berlin"}
        assert [event.text for event in events if event.kind == "finish"] == ["tool_calls"]
    assert not privatemode.tell("saw weather")["saw"]
    assert not privatemode.tell(f"saw {CANARY}")["saw"] and not privatemode.tell("saw remote attestation")["saw"]
    assert any(CANARY in prompt for prompt in privatemode.tell("recorded")["prompts"])


def test_the_other_endpoints(privatemode: Simulator) -> None:
    recording = wav()
    with proveil.Client(privatemode.config()) as client:
        vectors = json.loads(client.embeddings(EMBED))["data"]
        assert [len(entry["embedding"]) for entry in vectors] == [8, 8]
        assert vectors == json.loads(client.embeddings(json.dumps(EMBED)))["data"]
        assert json.loads(client.transcriptions(*form(recording)))["text"] == caption(recording)
        body = {"model": CHATTER, "max_tokens": 64, "messages": MESSAGES}
        (whole,) = client.send("/v1/messages", body)
        assert (whole.kind, whole.name) == ("document", "") and json.loads(whole.text)["content"][0]["text"]
        events = list(client.send("/v1/messages", {**body, "stream": True}))
        parts = [json.loads(event.text) for event in events]
        assert [event.name for event in events] == [part["type"] for part in parts]
        assert parts[0]["type"] == "message_start" and any(part["type"] == "content_block_delta" for part in parts)
        (completion,) = client.send("/v1/chat/completions", CHAT)
        assert json.loads(completion.text)["choices"][0]["finish_reason"] == "stop"
        (elements,) = client.send("/unstructured/general/v0/general", *form(recording))
        assert json.loads(elements.text)[0]["type"] == "Title"
    assert not privatemode.tell(f"saw {CANARY}")["saw"] and not privatemode.tell("saw test-key")["saw"]


def test_async(privatemode: Simulator) -> None:
    async def main() -> None:
        recording = wav()
        async with proveil.AsyncClient(privatemode.config()) as client:
            stream = await client.chat(model=CHATTER, messages=MESSAGES, stream=True)
            assert "remote attestation" in "".join([text async for text in stream.text()])
            kinds = [event.kind async for event in await client.send("/v1/chat/completions", CHAT)]
            assert kinds == ["document"]
            embedded, heard = await asyncio.gather(client.embeddings(EMBED), client.transcriptions(*form(recording)))
            assert len(json.loads(embedded)["data"]) == 2 and json.loads(heard)["text"] == caption(recording)
            with pytest.raises(proveil.InputError) as caught:
                await client.send("/v1/files", {})
            assert caught.value.slug == "unsupported_endpoint"

    asyncio.run(main())


def test_what_cannot_be_sent(privatemode: Simulator) -> None:
    with proveil.Client(privatemode.config()) as client:
        refused: list[tuple[Any, str]] = [
            (lambda: client.send(f"/v1/chat/completions?x={CANARY}", CHAT), "unsupported_endpoint"),
            (lambda: client.embeddings("{"), "malformed_request"),
            (lambda: client.embeddings('{"model":"a","model":"b"}'), "duplicate_member"),
        ]
        for call, slug in refused:
            with pytest.raises(proveil.InputError) as caught:
                call()
            assert caught.value.slug == slug and CANARY not in str(caught.value)
        # An answer of many documents is read with `send`.
        with pytest.raises(proveil.ProveilError):
            body, kind = form(wav())
            client.transcriptions(body.replace(b"--edge--", b'--edge\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--edge--'), kind)
    with proveil.Client(provider="venice", api_key="k", base_url="http://127.0.0.1:9", proxy=None) as client:
        with pytest.raises(proveil.ProveilError):
            client.embeddings(EMBED)


def test_log_of_manifests(privatemode: Simulator, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "manifests"
    with proveil.Client(privatemode.config(), workspace=tmp_path / "work") as client:
        for model in (CHATTER, EMBEDDER):
            client.verify(model)
    digest = hashlib.sha256((folder / "1.json").read_bytes()).hexdigest()
    (line,) = (folder / "log.txt").read_text().splitlines()
    assert line.endswith(f" manifests/1.json sha256:{digest} CUSTOM roots")


# Defect, its class, its slug.
REFUSALS = [
    ("report-tampered", proveil.VerificationError, "snp_signature"),
    ("manifest-other", proveil.VerificationError, "manifest_mismatch"),
    ("secret-swapped", proveil.VerificationError, "secret_signature"),
    ("attest-down", proveil.IndeterminateError, "attestation_unavailable"),
]
BROKEN = [
    ("stream-cut", proveil.ProtocolError, "truncated"),
    ("connection-drop", proveil.ProtocolError, "truncated"),
    ("clear-content", proveil.IntegrityError, "not_ciphertext"),
    ("events-swapped", proveil.IntegrityError, "auth_failed"),
    ("field-reflected", proveil.IntegrityError, "reflected_field"),
]


@pytest.mark.parametrize(("defect", "kind", "slug"), REFUSALS)
def test_a_refusal(privatemode: Simulator, defect: str, kind: type[proveil.ProveilError], slug: str) -> None:
    privatemode.tell(f"defects {defect}")
    with proveil.Client(privatemode.config()) as client, pytest.raises(kind) as caught:
        client.embeddings(EMBED)
    assert caught.value.slug == slug
    assert privatemode.tell("recorded")["prompts"] == []


@pytest.mark.parametrize(("defect", "kind", "slug"), BROKEN)
def test_a_broken_answer(privatemode: Simulator, defect: str, kind: type[proveil.ProveilError], slug: str) -> None:
    with proveil.Client(privatemode.config()) as client:
        client.ready(CHATTER)
        privatemode.tell(f"defects {defect}")
        for start in (lambda: client.chat(**CHAT, stream=True), lambda: client.send("/v1/chat/completions", {**CHAT, "stream": True})):
            stream = start()
            with pytest.raises(kind) as caught:
                list(stream)
            assert caught.value.slug == slug and stream.receipt is None


def test_the_settings(privatemode: Simulator) -> None:
    manifest = privatemode.hello["manifest"]
    for given in (manifest, manifest.encode()):
        with proveil.Client(privatemode.config(manifest=given, manifest_url=None)) as client:
            report = client.verify(CHATTER)
            assert (report.verdict, report.level) == ("verified", "L3"), report.to_text()
    with proveil.Client(privatemode.config(manifest=manifest + " ")) as client:
        assert client.verify(CHATTER).code == "PV-" + code("manifest_mismatch")
    with proveil.Client(privatemode.config(key_service_name="elsewhere.example")) as client:
        assert client.verify(CHATTER).code == "PV-" + code("mesh_certificate")
    for wrong in ({"cache_salt": "short"}, {"manifest_url": "cdn"}, {"amd_url": "ftp://kds"}):
        with pytest.raises(proveil.ProveilError) as caught:
            proveil.Client(privatemode.config(**wrong))
        assert caught.value.slug == ("cache_salt" if "cache_salt" in wrong else "invalid_url")
    salted = privatemode.config(cache_salt="canary-salt-of-thirty-two-bytes-!")
    assert "canary-salt" not in repr(salted) and pickle.loads(pickle.dumps(salted)) == salted
    with proveil.Client(salted) as client:
        assert "".join(client.chat(**CHAT).text())
    assert not privatemode.tell("saw canary-salt")["saw"]
    privatemode.tell("defects gpu-revoked")
    with proveil.Client(privatemode.config()) as client, pytest.raises(proveil.ProtocolError) as refused:
        client.chat(**CHAT)
    assert refused.value.slug == "gpu_status_refused" and "--gpu-revocation-grace" in refused.value.hint
    with proveil.Client(privatemode.config(gpu_revocation_grace_s=4 * 10**9)) as client:
        assert "".join(client.chat(**CHAT).text())


def code(slug: str) -> str:
    """The number of a cause."""
    return str(ROWS[slug][0])


def send(request: proveil.HttpRequest) -> tuple[int, list[tuple[str, str]], bytes]:
    out = urllib.request.Request(request.url, data=request.body or None, method=request.method)
    for name, value in request.headers:
        out.add_header(name, value)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(out, timeout=WATCHDOG_S) as answer:
            return answer.status, list(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, list(error.headers.items()), error.read()


def test_over_another_transport(privatemode: Simulator) -> None:
    config = privatemode.config()
    exchange = proveil.Exchange(
        "privatemode", EMBEDDER, "test-key", base_url=config.base_url, manifest=privatemode.hello["manifest"], amd_url=config.amd_url,
        trust_roots=config.trust_roots, gpu_revocation_grace_s=60, cache_salt="s" * 32,
    )
    while not isinstance(step := exchange.next(), proveil.Outcome):
        assert "manifest" not in step.purpose
        exchange.feed(*send(step))
    endpoint = step.endpoint()
    assert (endpoint.provider, endpoint.model) == ("privatemode", EMBEDDER)
    sealed, opener = endpoint.seal_request("/v1/embeddings", EMBED)
    assert CANARY.encode() not in sealed.request.body and sealed.request.url.endswith("/v1/embeddings")
    status, headers, body = send(sealed.request)
    opener.head(status, headers)
    events = opener.push(body)
    receipt = opener.finish()
    (document,) = [*events, *receipt.events]
    assert document.kind == "document" and len(json.loads(document.text)["data"]) == 2
    with pytest.raises(proveil.InputError) as caught:
        endpoint.seal_request("/v1/files", EMBED)
    assert caught.value.slug == "unsupported_endpoint"
    with pytest.raises(proveil.IndeterminateError) as late:
        endpoint.seal_request("/v1/embeddings", EMBED, at=endpoint.not_after)
    assert late.value.slug == "proof_expired"
