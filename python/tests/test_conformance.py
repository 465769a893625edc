"""The vectors through this language, and the runner itself: it must notice wrong answers, divergence, crashes and absent languages."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, VECTORS

RUNNER = ROOT / "tests/conformance/run.py"
DRIVER = shlex.join([sys.executable, str(ROOT / "tests/conformance/drivers/python/driver.py")])


def run(vectors: Path, *arguments: str, **drivers: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVEIL_DRIVER_")}
    environment.update({f"PROVEIL_DRIVER_{language.upper()}": command for language, command in drivers.items()})
    environment["CARGO_TARGET_DIR"] = str(vectors)  # so that no driver is found but those given
    command = [sys.executable, str(RUNNER), "--vectors", str(vectors), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def total(output: str) -> list[int]:
    line = next(line for line in output.splitlines() if line.startswith("total"))
    return [int(word) for word in line.split()[1:6]]


def test_every_case_passes_in_python() -> None:
    result = run(VECTORS / "venice", "--lang", "python", "--require-all", python=DRIVER)
    cases, passed, failed, skipped, diverged = total(result.stdout)
    assert (result.returncode, failed, diverged) == (0, 0, 0), result.stdout
    assert passed + skipped == cases == 203 and skipped == 47
    assert sum(line.startswith(("aci ", "near_reports ", "fields_other ")) for line in result.stdout.splitlines()) == 3


@pytest.fixture()
def small(tmp_path: Path) -> Path:
    """One set under a name and header that nobody knows, to show that the form decides."""
    keys = json.loads((VECTORS / "venice/keys.json").read_text(encoding="utf-8"))
    document = {"vector_set": "other_keys", "version": 1, "notes": [], "cases": keys["cases"][:2]}
    (tmp_path / "unheard.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def liar(folder: Path, answer: str) -> str:
    program = folder / "liar.py"
    program.write_text(f"import sys, json\nfor line in sys.stdin:\n    call = json.loads(line)\n    {answer}\n", encoding="utf-8")
    return shlex.join([sys.executable, str(program)])


def test_other_headers_and_names(small: Path) -> None:
    result = run(small, "--lang", "python", python=DRIVER)
    assert result.returncode == 0 and total(result.stdout) == [2, 2, 0, 0, 0], result.stdout


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("print(json.dumps({'id': call['id'], 'ok': {'address': '0x00'}}), flush=True)", "expected"),
        ("print(json.dumps({'id': call['id'], 'error': {'slug': 'key_invalid', 'delivered': []}}), flush=True)", "key_invalid"),
        ("print(json.dumps({'id': 0, 'ok': 1}), flush=True)", "broke the protocol"),
        ("print('nonsense', flush=True)", "cannot be read"),
        ("sys.exit(3)", "ended without an answer"),
    ],
)
def test_wrong_answers_are_noticed(small: Path, answer: str, reason: str) -> None:
    result = run(small, "--lang", "python,node", python=DRIVER, node=liar(small, answer))
    assert result.returncode == 1 and reason in result.stdout, result.stdout
    cases, passed, failed, _, diverged = total(result.stdout)
    assert (cases, passed, failed, diverged) == (2, 0, 2, 2)


def test_a_difference_beyond_the_expectation_is_a_divergence(small: Path) -> None:
    case = {"id": "either", "recipient_private_key": "01" * 32, "field": "plain", "expect": "ok"}
    (small / "unheard.json").write_text(json.dumps({"format": 1, "cases": [case]}), encoding="utf-8")
    other = liar(small, "print(json.dumps({'id': call['id'], 'ok': 'opened'}), flush=True)")
    result = run(small, "--lang", "python,node", python=DRIVER, node=other)
    assert result.returncode == 1 and "DIVERGE unheard/either" in result.stdout and total(result.stdout)[4] == 1


def test_absent_languages(small: Path) -> None:
    assert run(small, "--lang", "python,rust", python=DRIVER).returncode == 0
    result = run(small, "--lang", "python,rust", "--require-all", python=DRIVER)
    assert result.returncode == 1 and "missing: rust" in result.stdout
    assert run(small, "--lang", "rust").returncode == 1, "no language at all is no success"
    assert run(small, "--lang", "cobol").returncode == 2


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"format":1}', '{"cases":[]}', '{"format":1,"cases":[{"id":"a"},{"id":"a"}]}', '{"format":1,"cases":[{"id":"a"}]}']
)
def test_sets_that_cannot_be_run_are_failures(tmp_path: Path, text: str) -> None:
    (tmp_path / "strange.json").write_text(text, encoding="utf-8")
    result = run(tmp_path, "--lang", "python", python=DRIVER)
    assert result.returncode == 1 and "FAIL strange" in result.stdout


def test_an_empty_directory(tmp_path: Path) -> None:
    assert run(tmp_path, "--lang", "python", python=DRIVER).returncode == 2
