"""Importing is cheap and silent: no thread, no socket, no event loop, no download."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

# users.md 4: beyond the interpreter's own start; the best of several, since the machine does other things too.
IMPORT_WITHIN_S = 0.060


def test_import_does_nothing(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = """
import os, sys
before = set(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else set()
import proveil
client = proveil.Client(api_key='k', proxy=None)
if before:
    assert set(os.listdir('/proc/self/fd')) == before, 'no file or socket is kept open'
    assert len(os.listdir('/proc/self/task')) == 1, 'no thread was started'
for name in ('asyncio', 'socket', 'ssl', 'http', 'httpx', 'openai', 'subprocess'):
    assert name not in sys.modules, name
"""
    result = run_python(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_import_time() -> None:
    def best(program: str) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    extra = best("import proveil") - best("pass")
    print(f"import proveil: {extra * 1000:.1f} ms beyond the interpreter")
    assert extra < IMPORT_WITHIN_S
