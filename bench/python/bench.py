"""Opens the recorded answer from Python in whole network pieces, and prints nanoseconds of thread CPU time per chunk.

usage: bench.py DIR        the directory that `proveil-bench record DIR` wrote
       bench.py --import   milliseconds of CPU time of `import proveil` beyond the interpreter's own start

A pass is what bench/src/replay.rs does: a new opener, the head, every piece, the contents counted, the end. The second fastest of 15
passes is printed. Run by `cargo xtask bench` with an interpreter that has the release wheel.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

EVENTS_PER_PIECE = 32
PASSES = 15


def cut(stream: bytes) -> list[bytes]:
    """Cuts after every 32nd blank line."""
    events = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]
    return [b"".join(events[i : i + EVENTS_PER_PIECE]) for i in range(0, len(events), EVENTS_PER_PIECE)]


def open_answer(key: bytes, pieces: list[bytes]) -> int:
    """Opens the answer; gives the number of its contents."""
    from proveil import opener_for_key

    opener = opener_for_key(key)
    opener.head(200, [("content-type", "text/event-stream")])
    contents = 0
    for piece in pieces:
        contents += len(opener.push_text(piece))
    opener.finish()
    return contents


def per_chunk(directory: Path) -> float:
    """Nanoseconds per chunk."""
    pieces = cut((directory / "stream.sse").read_bytes())
    key = bytes.fromhex((directory / "stream.key").read_text())
    chunks = open_answer(key, pieces)
    passes = []
    for _ in range(PASSES):
        start = time.thread_time_ns()
        open_answer(key, pieces)
        passes.append(time.thread_time_ns() - start)
    return sorted(passes)[1] / chunks


def child_ms(statement: str) -> float:
    """CPU time of a fresh interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def import_ms() -> float:
    """What importing costs: the second fastest of 15 with and without, in turns."""
    runs = [(child_ms("import proveil"), child_ms("pass")) for _ in range(PASSES + 1)]
    with_import, without = (sorted(side)[1] for side in zip(*runs[1:]))
    return with_import - without


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{import_ms() if sys.argv[1] == '--import' else per_chunk(Path(sys.argv[1])):.1f}")
