"""The examples as a newcomer runs them, against the simulated provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, WATCHDOG_S, Simulator

EXAMPLES = ROOT / "examples/python"
MODEL = "e2ee-sim-27b"


@pytest.fixture()
def roots(simulator: Simulator, tmp_path: Path) -> str:
    path = tmp_path / "roots.json"
    path.write_text(simulator.hello["trust_roots"])
    return str(path)


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VENICE_API_KEY": "test-key", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=WATCHDOG_S)


def at(simulator: Simulator) -> list[str]:
    return ["--base-url", simulator.hello["base_url"], "--collateral-url", simulator.hello["collateral_url"]]


@pytest.mark.parametrize("flags", [[], ["--asyncio"]], ids=["blocking", "asyncio"])
def test_chats(simulator: Simulator, roots: str, flags: list[str]) -> None:
    question = ["venice", MODEL, "What is remote attestation?"]
    place = [simulator.hello["base_url"], simulator.hello["collateral_url"]]
    check_chat(run("chat.py", *question, *place, roots, *flags), run("chat.py", *question, *place, *flags))


def test_own_transport(simulator: Simulator, roots: str) -> None:
    arguments = [MODEL, "What is remote attestation?", *at(simulator)]
    check_chat(run("own_transport.py", *arguments, "--trust-roots", roots), run("own_transport.py", *arguments))


def check_chat(result: subprocess.CompletedProcess[str], refused: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0 and "remote attestation" in result.stdout, result
    assert "VERIFIED against CUSTOM roots" in result.stderr and "sealed fields opened" in result.stderr
    assert refused.returncode == 1 and "PV-221" in refused.stderr and refused.stdout == ""


def test_verify(simulator: Simulator, roots: str, tmp_path: Path) -> None:
    import proveil
    from test_simulator import carry_out, exchange_for

    exchange = exchange_for(simulator)
    assert carry_out(exchange).verdict == "verified"
    response, nonce = exchange.evidence() or (b"", b"")
    (tmp_path / "response.json").write_bytes(response)
    (tmp_path / "collateral.json").write_text(exchange.fetched_collateral()[0])
    files = [str(tmp_path / "response.json"), nonce.hex(), str(simulator.hello["now"]), str(tmp_path / "collateral.json")]
    result = run("verify.py", *files, "--trust-roots", roots, "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["verdict"] == "verified"
    assert run("verify.py", *files).returncode == 3
    assert run("verify.py", *files[:3], "--trust-roots", roots).returncode == 4
    assert proveil.__version__ in json.loads(result.stdout)["library"]
