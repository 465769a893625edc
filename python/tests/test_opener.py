"""Opening answers: events, errors with what came before them, threads, wiping."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import proveil
import pytest
from conftest import pieces, vectors

HEAD = (200, {"Content-Type": "text/event-stream"})


def opened(case: dict[str, Any], chunks: Iterable[bytes]) -> list[proveil.Event]:
    opener = proveil.opener_for_key(case["client_private_key"], case["policy"] == "allow_whitespace_plaintext")
    opener.head(case["http_status"], [("content-type", case["content_type"])])
    events = [event for chunk in chunks for event in opener.push(chunk)]
    receipt = opener.finish()
    assert receipt.sealed_fields > 0 and receipt.body_bytes > 0 and len(receipt.response_sha256) == 64
    return events + receipt.events


def content(events: Iterable[proveil.Event]) -> str:
    return "".join(event.text for event in events if event.kind == "content")


def test_any_cut_gives_the_same(stream_cases: dict[str, Any]) -> None:
    case = stream_cases["basic"]
    body = b"".join(pieces(case))
    expected = opened(case, [body])
    assert content(expected) == "Hello, world"
    for size in (1, 7, 100, 4096):
        cut = opened(case, [body[at : at + size] for at in range(0, len(body), size)])
        assert content(cut) == "Hello, world"
        assert [(e.kind, e.choice) for e in cut if e.kind != "content"] == [
            (e.kind, e.choice) for e in expected if e.kind != "content"
        ]


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_any_buffer_is_taken(stream_cases: dict[str, Any], form: Any) -> None:
    case = stream_cases["basic"]
    assert content(opened(case, [form(piece) for piece in pieces(case)])) == "Hello, world"


@pytest.mark.parametrize("wrong", ["text", 7, None, [1, 2]])
def test_other_types_are_type_errors(wrong: Any) -> None:
    opener = proveil.opener_for_key("01" * 32)
    opener.head(*HEAD)
    with pytest.raises(TypeError):
        opener.push(wrong)


def test_push_text_is_the_content_alone(stream_cases: dict[str, Any]) -> None:
    for name in ("reasoning-content", "two-choices", "comments-and-usage"):
        case = stream_cases[name]
        opener = proveil.opener_for_key(case["client_private_key"])
        opener.head(*HEAD)
        texts = [text for piece in pieces(case) for text in opener.push_text(piece)]
        opener.finish()
        everything = opened(case, pieces(case))
        assert texts == [event.text for event in everything if event.kind == "content"] and texts


@pytest.mark.parametrize(
    ("name", "slug", "kind", "before"),
    [
        ("bad-tag-mid-stream", "auth_failed", proveil.IntegrityError, "ok "),
        ("plaintext-injected", "plaintext_downgrade", proveil.IntegrityError, "secret "),
        ("error-event-mid-stream", "upstream_error", proveil.ProtocolError, "kept"),
        ("truncated-no-done", "truncated", proveil.ProtocolError, "cutoff"),
    ],
)
@pytest.mark.parametrize("method", ["push", "push_text"])
def test_errors_bring_what_came_before(
    stream_cases: dict[str, Any], name: str, slug: str, kind: type[proveil.ProveilError], before: str, method: str
) -> None:
    case = stream_cases[name]
    opener = proveil.opener_for_key(case["client_private_key"])
    opener.head(*HEAD)
    text = ""
    with pytest.raises(kind) as caught:
        for piece in pieces(case):
            text += "".join(given if isinstance(given, str) else content([given]) for given in getattr(opener, method)(piece))
        opener.finish()
    assert caught.value.slug == slug
    assert text + content(caught.value.events) == before
    with pytest.raises(proveil.MisuseError) as after:
        opener.push(b"")
    assert after.value.slug == "already_finished"


def test_an_answer_cut_anywhere_is_never_complete(stream_cases: dict[str, Any]) -> None:
    case = stream_cases["comments-and-usage"]
    body = b"".join(pieces(case))
    done = body.index(b"data: [DONE]")
    for end in range(0, done, 37):
        opener = proveil.opener_for_key(case["client_private_key"])
        opener.head(*HEAD)
        opener.push(body[:end])
        with pytest.raises(proveil.ProtocolError) as caught:
            opener.finish()
        assert caught.value.slug == "truncated"


def test_order_and_end() -> None:
    opener = proveil.opener_for_key("01" * 32)
    with pytest.raises(proveil.MisuseError) as caught:
        opener.push(b"")
    assert caught.value.slug == "out_of_order"
    opener.head(*HEAD)
    with pytest.raises(proveil.MisuseError):
        opener.head(*HEAD)
    opener.close()
    opener.close()
    for call in (lambda: opener.push(b""), opener.finish, lambda: opener.head(*HEAD)):
        with pytest.raises(proveil.MisuseError) as caught:
            call()
        assert caught.value.slug == "already_finished"


@pytest.mark.parametrize("headers", [{"Content-Type": "text/event-stream"}, [(b"content-type", b"text/event-stream")], iter([("content-type", "text/event-stream")])])
def test_headers_in_any_form(headers: Any) -> None:
    proveil.opener_for_key("01" * 32).head(200, headers)


def test_wrong_content_type() -> None:
    with pytest.raises(proveil.ProtocolError) as caught:
        proveil.opener_for_key("01" * 32).head(200, {"content-type": "text/html"})
    assert caught.value.slug == "unexpected_content_type"


def test_fields_both_ways() -> None:
    case = vectors("fields_ecdsa")["s2c-ascii"]
    key, public = case["recipient_private_key"], case["recipient_public_key"]
    for secret in (key, bytes.fromhex(key)):
        assert proveil.open_field(secret, case["field_hex"]) == case["plaintext"]
    for recipient in (public, bytes.fromhex(public)):
        for plaintext in ("Gr\u00fc\u00df dich", "Gr\u00fc\u00df dich".encode()):
            field = proveil.seal_field(recipient, plaintext)
            assert proveil.open_field(key, field) == "Gr\u00fc\u00df dich"
    assert proveil.seal_field(public, "x") != proveil.seal_field(public, "x"), "fresh keys each time (threats T29)"


@pytest.mark.parametrize("key", ["", "00" * 32, "ff" * 32, "zz" * 32, b"short", "01" * 33])
def test_bad_private_keys(key: Any) -> None:
    with pytest.raises(proveil.ProveilError) as caught:
        proveil.opener_for_key(key)
    assert caught.value.slug in ("invalid_argument", "key_invalid")
    with pytest.raises(proveil.ProveilError):
        proveil.open_field(key, "00")


def test_two_threads_on_one_opener(stream_cases: dict[str, Any]) -> None:
    """Use from two threads at once is `busy` or in turn, never a crash or wrong text (threats T62)."""
    case = stream_cases["basic"]
    body = b"".join(pieces(case))
    for _ in range(50):
        opener = proveil.opener_for_key(case["client_private_key"])
        opener.head(*HEAD)
        start, outcomes = threading.Barrier(2), []

        def push() -> None:
            start.wait()
            try:
                outcomes.append(content(opener.push(body)))
            except proveil.ProveilError as error:
                outcomes.append(error.slug)

        threads = [threading.Thread(target=push) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "Hello, world" in outcomes and len(outcomes) == 2


def test_events_match_and_compare(stream_cases: dict[str, Any]) -> None:
    events = opened(stream_cases["basic"], pieces(stream_cases["basic"]))
    match events[0]:
        case proveil.Event("content", 0, text):
            assert text
        case _:
            pytest.fail("the first event is content")
    again = opened(stream_cases["basic"], pieces(stream_cases["basic"]))
    assert events == again and len(set(events) | set(again)) == len(set(events)) and events[0] != "x"
