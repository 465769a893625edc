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

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
EVIDENCE = Path(os.environ.get("PROVEIL_EVIDENCE", ROOT.parent / "shared" / "evidence"))


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


@pytest.fixture()
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a new interpreter, at most 30 seconds: the watchdog of threats T63."""

    def run(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, **options)

    return run
