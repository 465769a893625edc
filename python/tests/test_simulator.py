"""Whole chats against the simulated provider: honest ones go round, every kind of defect ends in its own error."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pickle
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import proveil
import pytest
from conftest import WATCHDOG_S, Simulator

MODEL = "e2ee-sim-27b"
CANARY = "canary-5c20e7"
MESSAGES = [{"role": "user", "content": f"What is remote attestation? {CANARY}"}]


def test_an_honest_chat(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        assert {model["id"]: model["class"] for model in client.models()}[MODEL] == "e2ee"
        with client.chat(model=MODEL, messages=MESSAGES, temperature=0.2) as stream:
            events = list(stream)
            assert "remote attestation" in "".join(event.text for event in events if event.kind == "content")
            assert [event.text for event in events if event.kind == "finish"] == ["stop"]
            assert stream.report.verdict == "verified" and stream.report.level == "L2"
            assert stream.report.roots == "custom" and "CUSTOM roots" in stream.report.headline
            assert stream.receipt is not None and stream.receipt.sealed_fields > 10
            assert list(stream) == [], "an ended stream stays ended"
            assert stream.verify_signature() == "signed_body_not_verifiable"
    assert simulator.tell("recorded")["prompts"] == [MESSAGES[0]["content"]]
    assert not simulator.tell(f"saw {CANARY}")["saw"] and not simulator.tell("saw test-key")["saw"]


def test_a_signature_over_the_exact_bytes(simulators: Callable[..., Simulator]) -> None:
    with proveil.Client(simulators("--exact-signatures").config()) as client:
        stream = client.chat(model=MODEL, messages=MESSAGES)
        with pytest.raises(proveil.MisuseError) as caught:
            stream.verify_signature()
        assert caught.value.slug == "out_of_order"
        assert "".join(stream.text())
        assert stream.verify_signature() == "body_matches"


def test_pinned_software(simulator: Simulator, tmp_path: Path) -> None:
    """T27, T59: other software than the pinned one is refused with the difference; a broken file is not an empty one."""
    values = {"tdx.mr_td": "aa"}
    digest = hashlib.sha256(json.dumps({"events": [], "values": values}, separators=(",", ":")).encode()).hexdigest()
    endpoint = {"provider": "venice", "model": MODEL, "base_url": simulator.hello["base_url"], "roots": "custom", "pinned_at": 7}
    pin = {**endpoint, "sha256": digest, "values": values, "events": [], "compose": None}
    file = tmp_path / "pins.json"
    with proveil.Client(simulator.config(pins=file)) as client:
        assert client.verify(MODEL).verdict == "verified", "nothing is pinned"
        file.write_text(json.dumps({"schema": "proveil.pins/v1", "pins": [pin]}))
        file.chmod(0o600)
        report = client.verify(MODEL)
        assert (report.verdict, report.code) == ("refused", "PV-263")
        differences = [value for name, value in report.facts.items() if name.startswith("pin.difference.")]
        assert any(text.startswith("MRTD: pinned `aa`, now ") for text in differences), differences
        with pytest.raises(proveil.VerificationError) as refused:
            client.chat(model=MODEL, messages=MESSAGES)
        assert refused.value.slug == "software_changed" and refused.value.report
        assert {"name": "pin.pinned", "value": digest} in refused.value.report["facts"]
        file.write_text(json.dumps({"schema": "proveil.pins/v1", "pins": [{**pin, "values": {}}]}))
        for call in (lambda: client.verify(MODEL), lambda: client.ready(MODEL)):
            with pytest.raises(proveil.ConfigError) as broken:
                call()
            assert broken.value.slug == "pins_invalid" and "pins.json" in str(broken.value.details)
    assert simulator.tell("recorded")["prompts"] == []


def test_reasoning_is_told_apart(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        kinds = {event.kind for event in client.chat(model="e2ee-sim-reasoner-p", messages=MESSAGES)}
    assert {"reasoning", "content", "finish"} <= kinds


def test_the_report(simulator: Simulator) -> None:
    report = proveil.Client(simulator.config()).verify(MODEL)
    assert (report.verdict, report.level, report.code, report.model) == ("verified", "L2", None, MODEL)
    assert report.valid_until and timedelta(0) < report.valid_until - report.checked_at <= timedelta(minutes=30)
    assert report.policy_name == "standard" and report.policy_sha256 == proveil.Policy.standard().sha256
    assert report.who_can_read == report.to_dict()["who_can_read"] and report.who_can_read[0]["standing"] == "proven"
    assert report.relaxations == [] and report.not_proven and report.missing_to_next_level
    assert report.to_dict()["verdict"] == "verified" and report.to_json() and "L2" in report.to_text()
    assert all(len(line) <= 80 for line in report.to_text().splitlines())
    page, card, result = report.to_html(), report.to_svg(), json.loads(report.to_ear_json())
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page and "CUSTOM roots" in page
    assert card.startswith("<svg ") and "Not proven:" in card
    assert result["proveil_report"]["verdict"] == "verified" and result["ear_status"] == "contraindicated"  # custom roots
    signature = next(check for check in report.checks if check.id == "tdx.quote_signature")
    assert signature.reference == "the attestation key"
    assert (signature.outcome, signature.enforcement, signature.group) == ("pass", "enforced", "hardware")
    assert any(check.outcome == "not_checked" and check.enforcement == "advisory" and check.reason for check in report.checks)
    assert report.facts["tdx.mr_td"]
    with pytest.raises(TypeError, match="three outcomes"):
        bool(report)
    with pytest.raises(TypeError, match="to_json"):
        pickle.dumps(report)


def test_vendor_roots_refuse_the_simulator(simulator: Simulator) -> None:
    """Threats T68: nothing but an explicit argument makes throw-away roots count."""
    with proveil.Client(simulator.config(trust_roots=None)) as client:
        report = client.verify(MODEL)
        assert (report.verdict, report.code, report.roots) == ("refused", "PV-221", "vendor")
        with pytest.raises(proveil.VerificationError) as caught:
            client.chat(model=MODEL, messages=MESSAGES)
    error = caught.value
    assert error.slug == "pck_chain" and not error.retryable and error.report is not None
    assert error.report["verdict"] == "refused" and error.report["code"] == error.code
    assert simulator.tell("recorded")["prompts"] == [] and not simulator.tell(f"saw {CANARY}")["saw"]


@pytest.mark.parametrize(
    ("defect", "kind", "slug"),
    [
        ("nonce-replay", proveil.VerificationError, "nonce_echo_mismatch"),
        ("key-swap", proveil.VerificationError, "reportdata_identity_mismatch"),
        ("tampered-quote", proveil.VerificationError, "quote_signature"),
        ("debug-td", proveil.VerificationError, "debug_td"),
        ("tcb-revoked", proveil.VerificationError, "tcb_status_refused"),
        ("collateral-expired", proveil.IndeterminateError, "collateral_expired"),
        ("collateral-down", proveil.IndeterminateError, "collateral_unreachable"),
        ("attestation-down", proveil.IndeterminateError, "attestation_unavailable"),
    ],
)
def test_defects_before_sending(simulator: Simulator, defect: str, kind: type[proveil.ProveilError], slug: str) -> None:
    simulator.tell(f"defects {defect}")
    client = proveil.Client(simulator.config())
    with pytest.raises(kind) as caught:
        client.chat(model=MODEL, messages=MESSAGES)
    assert caught.value.slug == slug and "Nothing was sent" in str(caught.value)
    recorded = simulator.tell("recorded")
    assert recorded["prompts"] == [] and not any("chat/completions" in target for target in recorded["targets"])


@pytest.mark.parametrize(
    ("defect", "kind", "slug"),
    [
        ("plaintext-delta", proveil.IntegrityError, "plaintext_downgrade"),
        ("plaintext-tool-call", proveil.IntegrityError, "plaintext_downgrade"),
        ("flipped-tag", proveil.IntegrityError, "auth_failed"),
        ("other-client-key", proveil.IntegrityError, "auth_failed"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_defects_in_the_answer(
    simulator: Simulator, defect: str, kind: type[proveil.ProveilError], slug: str, asynchronous: bool
) -> None:
    simulator.tell(f"defects {defect}")
    texts: list[str] = []

    def blocking() -> None:
        for text in proveil.Client(simulator.config()).chat(model=MODEL, messages=MESSAGES).text():
            texts.append(text)

    async def awaiting() -> None:
        stream = await proveil.AsyncClient(simulator.config()).chat(model=MODEL, messages=MESSAGES)
        async for text in stream.text():
            texts.append(text)

    with pytest.raises(kind) as caught:
        asyncio.run(awaiting()) if asynchronous else blocking()
    assert caught.value.slug == slug and CANARY not in str(caught.value)


@pytest.mark.parametrize("defect", ["stream-cut", "cut-mid-event"])
def test_a_cut_answer_is_an_error_after_its_text(simulator: Simulator, defect: str) -> None:
    """An ordinary SDK ends such a stream without a word; this one must not (threats T39)."""
    simulator.tell(f"defects {defect}")
    stream = proveil.Client(simulator.config()).chat(model=MODEL, messages=MESSAGES)
    texts = []
    with pytest.raises(proveil.ProtocolError) as caught:
        for text in stream.text():
            texts.append(text)
    assert caught.value.slug == "truncated" and texts and stream.receipt is None
    with pytest.raises(proveil.MisuseError):
        next(stream)


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"model": "e2ee-sim-27c"}, "unknown_model"),
        ({"model": "tee-sim-9b"}, "model_not_e2ee"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"messages": []}, "no_messages"),
        ({"logprobs": True}, "logprobs"),
        ({"my_note": CANARY}, "unknown_field"),
        ({"messages": [{"role": "user", "content": {1, 2}}]}, "malformed_request"),
        ({"temperature": float("inf")}, "malformed_request"),
    ],
)
def test_what_cannot_be_sealed_is_not_sent(simulator: Simulator, change: dict[str, Any], slug: str) -> None:
    with proveil.Client(simulator.config()) as client, pytest.raises(proveil.InputError) as caught:
        client.chat(**{"model": MODEL, "messages": MESSAGES, **change})
    assert caught.value.slug == slug and isinstance(caught.value, ValueError)
    assert not any("chat/completions" in target for target in simulator.tell("recorded")["targets"])
    assert not simulator.tell(f"saw {CANARY}")["saw"]


def test_text_is_that_of_the_first_choice(simulator: Simulator) -> None:
    def content(events: list[proveil.Event], choice: int) -> str:
        return "".join(event.text for event in events if event.kind == "content" and event.choice == choice)

    async def texts() -> list[str]:
        async with proveil.AsyncClient(simulator.config()) as client:
            stream = await client.chat(model=MODEL, messages=MESSAGES, n=2)
            return [text async for text in stream.text()]

    with proveil.Client(simulator.config()) as client:
        events = list(client.chat(model=MODEL, messages=MESSAGES, n=2))
        first, second = content(events, 0), content(events, 1)
        assert first and second and first != second
        assert "".join(client.chat(model=MODEL, messages=MESSAGES, n=2).text()) == first
    assert "".join(asyncio.run(texts())) == first


def test_nothing_to_judge_is_an_error_and_no_report(simulator: Simulator) -> None:
    with proveil.Client(simulator.config(base_url="http://127.0.0.1:1/api/v1")) as client:
        for call in (client.verify, client.capture, client.ready):
            with pytest.raises(proveil.IndeterminateError) as caught:
                call(MODEL)
            assert caught.value.slug == "models_unreachable" and caught.value.retryable and caught.value.report is None


def test_a_rotated_key_is_proven_again(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        assert "".join(client.chat(model=MODEL, messages=MESSAGES).text())
        simulator.tell(f"rotate {MODEL}")
        assert "".join(client.chat(model=MODEL, messages=MESSAGES).text())


def test_one_verification_for_many_threads(simulator: Simulator) -> None:
    client = proveil.Client(simulator.config())
    answers: list[str] = []

    def chat() -> None:
        answers.append("".join(client.chat(model=MODEL, messages=MESSAGES).text()))

    threads = [threading.Thread(target=chat) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert len(answers) == 6 and all(answers)
    targets = simulator.tell("recorded")["targets"]
    assert sum("tee/attestation" in target for target in targets) == 1


def test_many_chats_in_one_loop(simulator: Simulator) -> None:
    async def main() -> list[str]:
        async with proveil.AsyncClient(simulator.config()) as client:

            async def chat() -> str:
                async with await client.chat(model=MODEL, messages=MESSAGES) as stream:
                    return "".join([text async for text in stream.text()])

            return await asyncio.gather(*(chat() for _ in range(20)))

    answers = asyncio.run(main())
    assert len(answers) == 20 and all(answers)


def test_async_and_blocking_give_the_same(simulator: Simulator) -> None:
    async def main() -> tuple[list[str], str, str]:
        async with proveil.AsyncClient(simulator.config()) as client:
            report = await client.verify(MODEL)
            endpoint = await client.ready(MODEL)
            assert endpoint.model == MODEL and {model["id"] for model in await client.models()} >= {MODEL}
            stream = await client.chat(model=MODEL, messages=MESSAGES)
            kinds = [event.kind async for event in stream]
            assert stream.receipt is not None and stream.report.verdict == "verified"
            return kinds, report.verdict, await stream.verify_signature()

    kinds, verdict, signature = asyncio.run(main())
    assert verdict == "verified" and signature == "signed_body_not_verifiable" and kinds[-1] in ("finish", "usage")


def test_leaving_early_closes_the_connection(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        simulator.tell("hold 2")
        with client.chat(model=MODEL, messages=MESSAGES) as stream:
            next(stream)
        simulator.tell("abandoned")
        for call in (lambda: next(stream), stream.verify_signature):
            with pytest.raises(proveil.MisuseError):
                call()
        assert stream.receipt is None


def test_closing_a_stream_ends_a_call_that_waits_on_it(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        simulator.tell("hold 2")
        stream = client.chat(model=MODEL, messages=MESSAGES)
        assert next(stream).kind == "content"

        def close() -> None:
            while refusal(stream) != "busy":
                pass
            stream.close()

        closer = threading.Thread(target=close, daemon=True)
        closer.start()
        with pytest.raises(proveil.MisuseError) as caught:
            next(stream)
        assert caught.value.slug == "cancelled"
        closer.join(WATCHDOG_S)
        simulator.tell("abandoned")


def refusal(stream: proveil.Stream) -> str:
    """Why the signature of an unfinished answer cannot be checked: "busy" exactly while a call waits for its next event."""
    with pytest.raises(proveil.MisuseError) as caught:
        stream.verify_signature()
    return caught.value.slug


def test_cancelling_a_task_closes_its_stream(simulator: Simulator) -> None:
    async def main() -> None:
        async with proveil.AsyncClient(simulator.config()) as client:
            simulator.tell("hold 2")
            stream = await client.chat(model=MODEL, messages=MESSAGES)
            read_one = asyncio.Event()

            async def read() -> None:
                async for _ in stream:
                    read_one.set()

            task = asyncio.create_task(read())
            await read_one.wait()  # the task has run on to where it waits for the second one
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(simulator.tell, "abandoned")
            with pytest.raises(proveil.MisuseError):
                async for _ in stream:
                    pass

    asyncio.run(main())


def test_two_threads_on_one_stream(simulator: Simulator) -> None:
    """Threats T62: the second one is told, nothing breaks."""
    simulator.tell("hold 2")
    stream = proveil.Client(simulator.config()).chat(model=MODEL, messages=MESSAGES)
    slugs: list[str] = []
    told = threading.Event()

    def read() -> None:
        try:
            for _ in stream:
                pass
        except proveil.MisuseError as error:
            slugs.append(error.slug)
            told.set()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert told.wait(WATCHDOG_S)
    stream.close()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert slugs[0] == "busy" and slugs[1:] in (["cancelled"], ["already_finished"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_chats_and_leaves_the_parents_stream_alone(simulator: Simulator) -> None:
    simulator.tell("hold 2")
    client = proveil.Client(simulator.config())
    stream = client.chat(model=MODEL, messages=MESSAGES)
    first = next(stream).text
    child = os.fork()
    if child == 0:
        signal.alarm(WATCHDOG_S)
        try:
            try:
                next(stream)
            except proveil.MisuseError as error:
                assert error.slug == "out_of_order"
            del stream
            assert "".join(client.chat(model=MODEL, messages=MESSAGES).text())
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    simulator.tell("release")
    rest = "".join(stream.text())
    assert first is not None and rest and stream.receipt is not None


def carry_out(exchange: proveil.Exchange) -> proveil.Outcome:
    """A host's own transport, the standard library's."""
    while True:
        step = exchange.next()
        if isinstance(step, proveil.Outcome):
            return step
        exchange.feed(*send(step))


def send(request: proveil.HttpRequest) -> tuple[int, list[tuple[str, str]], bytes]:
    assert request.pinned_spki == [] and request.max_response_bytes > 0 and request.purpose
    out = urllib.request.Request(request.url, data=request.body or None, method=request.method)
    for name, value in request.headers:
        out.add_header(name, value)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(out, timeout=WATCHDOG_S) as answer:
            return answer.status, list(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, list(error.headers.items()), error.read()


def exchange_for(simulator: Simulator, **options: Any) -> proveil.Exchange:
    config = simulator.config()
    given = {"base_url": config.base_url, "collateral_url": config.collateral_url, "nvidia_url": config.nvidia_url, "trust_roots": config.trust_roots}
    return proveil.Exchange("venice", MODEL, "test-key", **{**given, **options})


def test_nvidia_is_asked_what_the_policy_requires(simulator: Simulator) -> None:
    rules = proveil.Policy.from_json('{"schema":"proveil.policy/v1","gpu":{"require_rim":true,"require_ocsp":true}}')
    exchange = exchange_for(simulator, policy=rules)
    assert exchange.fetched_endorsements() is None
    assert carry_out(exchange).verdict == "verified"
    said = exchange.fetched_endorsements()
    assert said is not None and json.loads(said)["schema"] == "proveil.gpu-endorsements/v1"
    again = exchange_for(simulator, policy=rules, endorsements=said)
    assert carry_out(again).verdict == "verified" and again.fetched_endorsements() is None
    with pytest.raises(proveil.IndeterminateError) as caught:
        exchange_for(simulator, endorsements=["{}"])
    assert caught.value.slug == "collateral_malformed"


def test_a_chat_over_another_transport(simulator: Simulator) -> None:
    exchange = exchange_for(simulator)
    outcome = carry_out(exchange)
    assert outcome.verdict == "verified" == outcome.report.verdict
    endpoint = outcome.endpoint()
    assert (endpoint.provider, endpoint.model) == ("venice", MODEL) and endpoint.not_after.timestamp() > simulator.hello["now"]
    sealed, opener = endpoint.seal({"model": MODEL, "messages": MESSAGES})
    assert CANARY.encode() not in sealed.request.body
    status, headers, body = send(sealed.request)
    opener.head(status, headers)
    text = "".join(opener.push_text(body))
    receipt = opener.finish()
    assert "attestation" in text and receipt.request_sha256 and receipt.id
    request = endpoint.signature_request(receipt)
    assert endpoint.check_signature(receipt, *send(request)) == "signed_body_not_verifiable"
    again, _ = endpoint.seal({"model": MODEL, "messages": MESSAGES})
    assert again.request.body != sealed.request.body, "a retry seals anew (threats T29)"
    with pytest.raises(proveil.IndeterminateError) as caught:
        endpoint.seal({"model": MODEL, "messages": MESSAGES}, at=endpoint.not_after)
    assert caught.value.slug == "proof_expired"
    with pytest.raises(TypeError, match="three values"):
        bool(outcome)

    # What was fetched on the way makes an offline check and a second exchange without those requests.
    response, nonce = exchange.evidence() or (b"", b"")
    collateral, roots = exchange.fetched_collateral(), simulator.config().trust_roots
    now = simulator.hello["now"]
    at = datetime.fromtimestamp(now, timezone.utc)
    report = proveil.verify_evidence("venice", response, nonce, collateral, now, MODEL, trust_roots=roots)
    assert report.verdict == "verified"
    same = proveil.verify("venice", MODEL, evidence=response, nonce=nonce.hex(), collateral=collateral[0], at=at, trust_roots=roots)
    assert same.verdict == "verified"
    late = at + timedelta(days=400)
    assert proveil.verify("venice", None, evidence=response, nonce=nonce, collateral=collateral, at=late, trust_roots=roots).verdict != "verified"
    other = proveil.verify_evidence("venice", response, bytes(32), collateral, now, MODEL, trust_roots=roots)
    assert (other.verdict, other.code) == ("refused", "PV-201")
    simulator.tell("clear")
    second = exchange_for(simulator, collateral=collateral, model_list=exchange.fetched_model_list())
    assert carry_out(second).verdict == "verified"
    assert len(simulator.tell("recorded")["targets"]) == 1


def test_a_refused_exchange_has_no_endpoint(simulator: Simulator) -> None:
    simulator.tell("defects tampered-quote")
    outcome = carry_out(exchange_for(simulator))
    assert outcome.verdict == "refused" and outcome.report.code == "PV-225"
    with pytest.raises(proveil.VerificationError) as caught:
        outcome.endpoint()
    assert caught.value.slug == "quote_signature" and caught.value.report is not None


@pytest.mark.parametrize("kind", ["connect", "timeout", "tls_rule", "too_large", "broken", "cancelled"])
def test_a_transport_that_fails(kind: Any) -> None:
    exchange = proveil.Exchange("venice", MODEL, "k")
    exchange.next()
    exchange.fail(kind)
    with pytest.raises(proveil.ProveilError) as caught:
        outcome = exchange.next()
        assert isinstance(outcome, proveil.Outcome) and outcome.verdict != "verified"
        outcome.endpoint()
    assert caught.value.slug
    with pytest.raises(proveil.InputError):
        proveil.Exchange("venice", MODEL, "k").fail("gave-up")  # type: ignore[arg-type]


def test_offline_arguments() -> None:
    with pytest.raises(proveil.InputError) as caught:
        proveil.verify("venice", MODEL, evidence=b"{}")
    assert "nonce" in caught.value.details["check"]
    with pytest.raises(proveil.InputError):
        proveil.verify("venice", MODEL, at=1_781_056_027, api_key="k")
    with pytest.raises(proveil.InputError):
        proveil.verify("venice", None, api_key="k")
    assert proveil.verify_evidence("venice", b"not json", bytes(32), (), 1_781_056_027).verdict == "refused"
