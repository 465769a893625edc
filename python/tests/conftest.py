"""What the tests share. Captured evidence and the simulator are optional here; `cargo xtask test` provides the simulator."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import proveil
import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
EVIDENCE = Path(os.environ.get("PROVEIL_EVIDENCE", ROOT.parent / "shared" / "evidence"))
SIMULATOR = os.environ.get("PROVEIL_SIMULATOR", str(ROOT / "target/debug/examples/serve"))


def vectors(name: str) -> dict[str, Any]:
    """The cases of a Venice vector set by id."""
    document = json.loads((VECTORS / "venice" / f"{name}.json").read_text(encoding="utf-8"))
    return {case["id"]: case for case in document["cases"]}


def pieces(case: dict[str, Any]) -> list[bytes]:
    """The body pieces of a stream case."""
    return [base64.b64decode(piece) for piece in case["chunks_b64"]]


@pytest.fixture(scope="session")
def stream_cases() -> dict[str, Any]:
    return vectors("sse")


@pytest.fixture()
def stalled_server() -> Iterator[str]:
    """The base URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api/v1"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in kept:
            connection.close()


class Simulator:
    """The simulated provider in a process of its own (testkit/examples/serve.rs)."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen([SIMULATOR, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def tell(self, command: str) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._read()

    def config(self, **options: Any) -> proveil.Config:
        """What a client needs to reach it."""
        given = {
            "base_url": self.hello["base_url"],
            "collateral_url": self.hello["collateral_url"],
            "trust_roots": proveil.TrustRoots.from_json(self.hello["trust_roots"]),
            "proxy": None,
            "api_key": "test-key",
        }
        return proveil.Config(**{**given, **options})

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def simulators() -> Iterator[Callable[..., Simulator]]:
    """Starts simulators, one for each set of options."""
    if not Path(SIMULATOR).is_file():
        pytest.skip("no simulator: cargo build -p proveil-testkit --example serve")
    started: dict[tuple[str, ...], Simulator] = {}

    def start(*options: str) -> Simulator:
        if options not in started:
            started[options] = Simulator(*options)
        return started[options]

    yield start
    for simulator in started.values():
        simulator.stop()


@pytest.fixture()
def simulator(simulators: Callable[..., Simulator]) -> Iterator[Simulator]:
    """An honest simulator that has received nothing yet."""
    simulator = simulators()
    simulator.tell("defects")
    simulator.tell("clear")
    yield simulator
    simulator.tell("defects")


@pytest.fixture()
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a new interpreter, at most 30 seconds: the watchdog of threats T63."""

    def run(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, **options)

    return run
