"""Importing is cheap and silent: no thread, no socket, no event loop, no download."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

# users.md 4: beyond the interpreter's own start.
IMPORT_WITHIN_S = 0.060


def test_import_does_nothing(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = """
import os, sys
before = set(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else set()
import proveil
for name in ('typing', 'dataclasses', 'inspect', 'json', 'asyncio', 'datetime'):
    assert name not in sys.modules, name
client = proveil.Client(api_key='k', proxy=None)
if before:
    assert set(os.listdir('/proc/self/fd')) == before, 'no file or socket is kept open'
    assert len(os.listdir('/proc/self/task')) == 1, 'no thread was started'
for name in ('asyncio', 'socket', 'ssl', 'http', 'httpx', 'openai', 'subprocess'):
    assert name not in sys.modules, name
"""
    result = run_python(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def cpu_s(program: str) -> float:
    """Processor time of an interpreter that runs a program: the wall clock would also count what else the machine does."""
    process = subprocess.Popen([sys.executable, "-c", program])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.skipif(sys.platform == "win32", reason="processor time is read the POSIX way")
def test_import_time() -> None:
    extra = min(cpu_s("import proveil") for _ in range(9)) - min(cpu_s("pass") for _ in range(9))
    print(f"import proveil: {extra * 1000:.1f} ms beyond the interpreter")
    assert extra < IMPORT_WITHIN_S
