#!/usr/bin/env python3
"""Clients that people use, unchanged, against the proxy in front of simulated providers: `cargo xtask test clients` (docs/proxy.md, "Clients").

Every case is one call of one client. It says what the caller must see and how many requests may arrive; a relay between client and proxy
counts them, and at the end the proxies' own counters must agree. Standard library only; Python 3.11 or newer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import Relay, Served, direct, work_folder

HERE = Path(__file__).resolve().parent
ANSWER_WITHIN_S = 90
PROMPT = "What does a proof prove?"
CHAT = {"venice": "e2ee-sim-27b", "privatemode": "sim-kimi-2"}
EMBEDDER = {"venice": "e2ee-sim-27b", "privatemode": "sim-embedding-4b"}
# Defects of the simulators (`proveil simulate PROVIDER --list-defects`) and the code that a refusal has.
REFUSED = {"venice": ("key-swap", "PV-212"), "privatemode": ("wrong-measurement", "PV-260")}
CUT = {"venice": "stream-cut", "privatemode": "stream-cut"}
# Venice only streams: a whole answer is made of a stream, and broken where that is.
BROKEN = {"venice": ("stream-cut", "PV-502"), "privatemode": ("flipped-tag", "PV-404")}
DOWN = "collateral-down"


@dataclass
class Client:
    """A client, how its driver is run, and the modes that it has for each kind of call."""

    name: str
    command: list[str]
    modes: dict[str, list[str]]
    # Requests where the client tries again although the proxy says `x-should-retry: false`, by case.
    stubborn: dict[str, int] = field(default_factory=dict)


@dataclass
class Case:
    """One call, and what its caller must see."""

    name: str
    do: str
    mode: str
    provider: str
    defect: str | None
    model: str
    code: str | None = None
    status: int | None = None
    retries: int = 2
    requests: int = 1


def clients(home: Path) -> list[Client]:
    def python(venv: str, driver: str) -> list[str]:
        return [str(home / venv / "bin/python"), str(HERE / "drivers" / driver)]

    def node(driver: str) -> list[str]:
        return ["node", str(home / "node" / driver)]

    both = ["sync", "async"]
    openai = {
        "answer": [*both, "raw"],
        "stream": [*both, "raw", "helper"],
        "embedding": both,
        "responses": ["sync"],
        "models": ["sync"],
    }
    chained = {"answer": both, "stream": both, "embedding": ["sync"]}
    return [
        Client("openai-python 3", python("openai3", "openai_python.py"), openai),
        Client("openai-python 2", python("openai2", "openai_python.py"), openai),
        Client(
            "anthropic-python",
            python("openai3", "anthropic_python.py"),
            {"answer": both, "stream": [*both, "helper"], "models": ["sync"]},
        ),
        Client("LangChain", python("openai3", "langchain_python.py"), chained),
        Client("LiteLLM", python("openai2", "litellm_python.py"), chained),
        Client(
            "openai-node",
            node("openai_node.mjs"),
            {
                "answer": ["async", "raw"],
                "stream": ["async", "helper"],
                "embedding": ["async"],
                "responses": ["async"],
                "models": ["async"],
            },
        ),
        Client(
            "AI SDK",
            node("ai_sdk.mjs"),
            {"answer": ["async"], "stream": ["async", "callback"], "embedding": ["async"]},
            stubborn={"broken answer": 3},
        ),
        Client(
            "curl",
            [sys.executable, str(HERE / "drivers/curl.py")],
            {"answer": ["sync"], "stream": ["sync"], "embedding": ["sync"]},
            stubborn={"broken answer": 3},
        ),
    ]


def cases(client: Client) -> Iterator[Case]:
    """Everything a client is asked to do."""
    for provider, model in CHAT.items():
        refused, code = REFUSED[provider]
        for mode in client.modes["answer"]:
            yield Case("answer", "answer", mode, provider, None, model)
            yield Case("refused answer", "answer", mode, provider, refused, model, code, 403)
        mode = client.modes["answer"][0]
        broken, broken_code = BROKEN[provider]
        requests = client.stubborn.get("broken answer", 1)
        yield Case("broken answer", "answer", mode, provider, broken, model, broken_code, 502, requests=requests)
        for mode in client.modes["stream"]:
            yield Case("stream", "stream", mode, provider, None, model)
            yield Case("refused stream", "stream", mode, provider, refused, model, code, 403)
            yield Case("cut stream", "stream", mode, provider, CUT[provider], model, "PV-502")
        for mode in client.modes.get("embedding", []):
            # Only one of the providers has an endpoint for it.
            missing = ("PV-124", 404) if provider == "venice" else (None, None)
            yield Case("embedding", "embedding", mode, provider, None, EMBEDDER[provider], *missing)
        for mode in client.modes.get("responses", []):
            yield Case("responses", "responses", mode, provider, None, model, "PV-124", 404)
        for mode in client.modes.get("models", []):
            yield Case("models", "models", mode, provider, None, model)
    # The one error that another try may mend, with a pause that the proxy asks for: tried again as often as the caller allows.
    mode = client.modes["answer"][0]
    yield Case(
        "unavailable", "answer", mode, "venice", DOWN, CHAT["venice"], "PV-304", 503, retries=1, requests=2
    )


class Driver:
    """The process that uses a client."""

    def __init__(self, client: Client, home: Path) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
        environment = {
            **kept,
            "HOME": str(home),
            "PYTHONUTF8": "1",
            "NO_PROXY": "127.0.0.1",
            "AI_SDK_LOG_WARNINGS": "false",
            "LANGSMITH_TRACING": "false",
            # Prices of models would be fetched from the network at import.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        self.log = home / f"{client.name}.log"
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                client.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
                encoding="utf-8",
            )

    def ask(self, case: Case, url: str) -> dict[str, Any]:
        request = {
            "do": case.do, "mode": case.mode, "url": url, "model": case.model, "retries": case.retries
        }
        assert self.process.stdin and self.process.stdout
        # A client that hangs is ended, which ends the reading below.
        timer = threading.Timer(ANSWER_WITHIN_S, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"the driver ended: {self.log.read_text()[-2000:].strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.terminate()
        self.process.wait()


@dataclass
class Result:
    """How a case went: what is wrong, if anything, and what the caller saw."""

    case: Case
    wrong: list[str]
    shown: str
    counted: int


def judged(case: Case, answer: dict[str, Any], counted: int, expected: dict[str, Any]) -> Result:
    """Compares what a caller saw with what it must see."""
    wrong = []
    error = answer["error"]
    whole: str = expected["text"][case.provider]
    if counted != case.requests:
        wrong.append(f"{counted} requests arrived, expected {case.requests}")
    if case.code is None:
        if error:
            wrong.append(f"failed: {error}")
        elif case.do in ("answer", "stream") and answer["text"] != whole:
            wrong.append(f"another text: {answer['text'][:80]!r}")
        elif case.do == "stream" and answer["pieces"] < 2:
            wrong.append("the stream came in one piece")
        elif case.do == "embedding" and not same(answer.get("vector"), expected["vector"]):
            wrong.append(f"another vector: {str(answer.get('vector'))[:80]}")
        elif case.do == "models" and case.model not in answer.get("ids", []):
            wrong.append(f"{case.model} is not among the models: {answer.get('ids')}")
        elif case.mode == "raw" and not (answer.get("verdict") or "verified L2").startswith("verified L2"):
            wrong.append(f"the verdict is {answer.get('verdict')}")
        return Result(case, wrong, "", counted)
    if not error:
        return Result(case, [*wrong, f"no error; text {answer['text'][:80]!r}"], "", counted)
    in_code, in_text = error["code"] == case.code, f"[{case.code}]" in error["message"]
    if not (in_code or in_text):
        wrong.append(f"{case.code} does not reach the caller: {error}")
    # Some libraries make up a status of their own for errors within a stream.
    if case.status and error["status"] != case.status:
        wrong.append(f"status {error['status']}, expected {case.status}")
    if case.name == "cut stream":
        if not answer["text"] or len(answer["text"]) >= len(whole) or not whole.startswith(answer["text"]):
            wrong.append(f"before the cut came {answer['text']!r}")
    elif answer["text"]:
        wrong.append(f"text with an error: {answer['text'][:80]!r}")
    return Result(case, wrong, error["type"] + (" with code" if in_code else " with the code in its text"), counted)


def same(found: Any, wanted: list[float]) -> bool:
    """Vectors travel as decimal digits or as 32 bit floats."""
    return (
        isinstance(found, list)
        and len(found) == len(wanted)
        and all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7) for a, b in zip(found, wanted))
    )


def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with direct.open(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url}: {error.code} {error.read().decode()}") from None


class Bench:
    """All servers, and what they answer to a plain request."""

    def __init__(self, proveil: Path, work: Path) -> None:
        self.work = work
        self.counted: dict[tuple[str, str | None], int] = {}
        self.lock = threading.Lock()
        self.served: dict[tuple[str, str | None], Served] = {}
        wanted = {("venice", DOWN): None}
        for provider in CHAT:
            for defect in (None, REFUSED[provider][0], CUT[provider], BROKEN[provider][0]):
                wanted[provider, defect] = None
        with ThreadPoolExecutor(4) as pool:
            futures = {key: pool.submit(Served, proveil, work, *key) for key in wanted}
        failures = [future.exception() for future in futures.values() if future.exception()]
        self.served = {key: future.result() for key, future in futures.items() if not future.exception()}
        if failures:
            self.end()
            raise RuntimeError(str(failures[0]))

    def expected(self) -> dict[str, Any]:
        texts = {}
        for provider, model in CHAT.items():
            body = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
            made = post(self.served[provider, None].url + "/v1/chat/completions", body)
            texts[provider] = made["choices"][0]["message"]["content"]
            self.count((provider, None), 1)
        body = {"model": EMBEDDER["privatemode"], "input": PROMPT}
        made = post(self.served["privatemode", None].url + "/v1/embeddings", body)
        self.count(("privatemode", None), 1)
        return {"text": texts, "vector": made["data"][0]["embedding"]}

    def count(self, key: tuple[str, str | None], requests: int) -> None:
        with self.lock:
            self.counted[key] = self.counted.get(key, 0) + requests

    def run(self, client: Client, expected: dict[str, Any]) -> list[Result]:
        driver = Driver(client, self.work)
        results = []
        try:
            for case in cases(client):
                key = (case.provider, case.defect)
                relay = Relay(self.served[key].url)
                answer = driver.ask(case, relay.url)
                relay.close()
                self.count(key, relay.requests)
                results.append(judged(case, answer, relay.requests, expected))
        except RuntimeError as error:
            results.append(Result(case, [str(error)], "", 0))
        finally:
            driver.end()
        return results

    def differing_counts(self) -> list[str]:
        """Proxies whose own counters tell another number than the relays."""
        found = {key: served.requests() for key, served in self.served.items()}
        return [
            f"the proxy of {key} counted {found[key]} requests, the relays {self.counted.get(key, 0)}"
            for key in found
            if found[key] != self.counted.get(key, 0)
        ]

    def end(self) -> None:
        for served in self.served.values():
            served.end()


def show(client: Client, results: list[Result]) -> int:
    """One line for every kind of case, and one for everything that is wrong. Returns how many cases are."""
    for name in dict.fromkeys(result.case.name for result in results):
        group = [result for result in results if result.case.name == name]
        passed = sum(not result.wrong for result in group)
        attempts = "/".join(sorted({str(result.counted) for result in group}))
        seen = ", ".join(dict.fromkeys(result.shown for result in group if result.shown))
        word = "ok" if passed == len(group) else "FAILED"
        print(f"{word:<7} {client.name:<17} {name:<15} {passed}/{len(group)}  requests {attempts}  {seen}".rstrip())
        for result in group:
            for wrong in result.wrong:
                case = result.case
                print(f"        {case.provider} {case.defect or ''} {case.do} {case.mode}: {wrong}")
    return sum(bool(result.wrong) for result in results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proveil", type=Path, required=True, help="the program")
    parser.add_argument("--home", type=Path, required=True, help="folder of the environments and of node_modules")
    parser.add_argument("--client", action="append", help="only clients with this in their name")
    arguments = parser.parse_args()
    chosen = [
        client
        for client in clients(arguments.home)
        if not arguments.client or any(part in client.name for part in arguments.client)
    ]
    with work_folder() as work:
        bench = Bench(arguments.proveil, Path(work))
        try:
            expected = bench.expected()
            # Most of the time is pauses before further tries and imports.
            with ThreadPoolExecutor(3) as pool:
                results = list(pool.map(lambda client: bench.run(client, expected), chosen))
            differing = bench.differing_counts()
        finally:
            bench.end()
    failed = sum(show(client, rows) for client, rows in zip(chosen, results))
    for line in differing:
        print(f"FAILED  {line}")
    total = sum(map(len, results))
    print(f"{total - failed} of {total} cases passed, {len(chosen)} clients")
    return 1 if failed or differing else 0


if __name__ == "__main__":
    sys.exit(main())
