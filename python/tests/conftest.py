"""What the tests share. Captured evidence and the simulator are optional here; `cargo xtask test` provides the simulator."""

from __future__ import annotations

import base64
import json
import os
import selectors
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
PRIVATEMODE = str(Path(SIMULATOR).with_stem("serve_privatemode"))


Child = subprocess.Popen[str]
# Ends what hangs (threats T63); nothing that works comes near it.
WATCHDOG_S = 300


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


class StalledServer:
    """Takes requests and never answers them. Tells when one has arrived and when a client has closed its connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._line, line = socket.socketpair()  # hanging up closes it
        self._arrived, self._closed = threading.Semaphore(0), threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api/v1"
        self._thread = threading.Thread(target=self._serve, args=(line,), daemon=True)
        self._thread.start()

    def wait_arrived(self, count: int = 1) -> None:
        """Returns when the heads of so many more requests have arrived."""
        wait(self._arrived, count)

    def wait_closed(self, count: int = 1) -> None:
        """Returns when clients have closed so many more connections."""
        wait(self._closed, count)

    def hang_up(self) -> None:
        """Closes all connections, and the listener."""
        self._line.close()
        self._thread.join(WATCHDOG_S)

    def _serve(self, line: socket.socket) -> None:
        heads: dict[socket.socket, bytes] = {}
        with selectors.DefaultSelector() as selector:
            for waiting in (self._listener, line):
                selector.register(waiting, selectors.EVENT_READ)
            while line not in (ready := [key.fileobj for key, _ in selector.select()]):
                for connection in ready:
                    if connection is self._listener:
                        connection = self._listener.accept()[0]
                        selector.register(connection, selectors.EVENT_READ)
                        heads[connection] = b""
                    else:
                        self._read(connection, heads, selector)
        for connection in (self._listener, line, *heads):
            connection.close()

    def _read(self, connection: socket.socket, heads: dict[socket.socket, bytes], selector: selectors.BaseSelector) -> None:
        try:
            data = connection.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            selector.unregister(connection)
            connection.close()
            del heads[connection]
            self._closed.release()
        elif b"\r\n\r\n" not in heads[connection]:
            heads[connection] += data
            if b"\r\n\r\n" in heads[connection]:
                self._arrived.release()


def wait(semaphore: threading.Semaphore, count: int = 1) -> None:
    for _ in range(count):
        assert semaphore.acquire(timeout=WATCHDOG_S), "nothing happened"


@pytest.fixture()
def stalled_server() -> Iterator[StalledServer]:
    server = StalledServer()
    yield server
    server.hang_up()


class Simulator:
    """A simulated provider in a process of its own (testkit/examples/serve.rs, serve_privatemode.rs)."""

    def __init__(self, program: str, *options: str) -> None:
        self.process = subprocess.Popen([program, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
        own = ("collateral_url", "nvidia_url", "manifest_url", "amd_url")
        given = {
            "provider": "venice" if "nvidia_url" in self.hello else "privatemode",
            "base_url": self.hello["base_url"],
            **{name: self.hello[name] for name in own if name in self.hello},
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
        pytest.fail("no simulator: cargo build -p proveil-testkit --example serve")
    started: dict[tuple[str, ...], Simulator] = {}

    def start(*options: str) -> Simulator:
        if options not in started:
            started[options] = Simulator(SIMULATOR, *options)
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
    simulator.tell("release")
    simulator.tell("defects")


@pytest.fixture(scope="session")
def privatemodes() -> Iterator[Simulator]:
    """The simulated Privatemode."""
    simulator = Simulator(PRIVATEMODE)
    yield simulator
    simulator.stop()


@pytest.fixture()
def privatemode(privatemodes: Simulator) -> Iterator[Simulator]:
    """An honest Privatemode that has received nothing yet."""
    privatemodes.tell("defects")
    privatemodes.tell("clear")
    yield privatemodes
    privatemodes.tell("release")
    privatemodes.tell("defects")


@pytest.fixture()
def start_python() -> Iterator[Callable[..., Child]]:
    """Starts programs in interpreters of their own."""
    started: list[Child] = []

    def start(program: str, *arguments: str) -> Child:
        command = [sys.executable, "-c", program, *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture()
def run_python(start_python: Callable[..., Child]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a new interpreter to its end."""
    return lambda program, *arguments: ended(start_python(program, *arguments))


def ended(child: Child, more: str | None = None) -> subprocess.CompletedProcess[str]:
    """A child's output once it has ended by itself; `more` is what it still reads before."""
    output, errors = child.communicate(more, timeout=WATCHDOG_S)
    return subprocess.CompletedProcess(child.args, child.returncode, output, errors)
