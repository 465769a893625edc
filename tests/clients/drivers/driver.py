"""What all Python drivers share: one JSON request a line in, one JSON answer a line out (../run.py).

A request names what to `do`, in which `mode` of the library, at which `url`, with which `model` and how many `retries`. An answer has what the
caller of the library would see: `text` in `pieces`, `vector`, `ids`, `verdict` (a header of the answer), or an `error` and the text before it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import warnings
from typing import Any, Callable

PROMPT = "What does a proof prove?"


class Seen:
    """What the caller has received so far; kept when an error follows."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.more: dict[str, Any] = {}

    def piece(self, text: str | None) -> None:
        if text:
            self.pieces.append(text)

    def whole(self, text: str | None) -> None:
        self.pieces = [text or ""]


def described(error: BaseException) -> dict[str, Any]:
    """The parts of an error that a caller can use: the attributes that the library gives it, and its text."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    code = getattr(error, "code", None) or (inner.get("code") if isinstance(inner, dict) else None)
    return {
        "type": getattr(error, "name", None) or type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": code,
        "message": str(error),
    }


def serve(handlers: dict[tuple[str, str], Callable[[dict[str, Any], Seen], Any]]) -> None:
    """Answers requests until standard input ends."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        request = json.loads(line)
        seen = Seen()
        error = None
        try:
            result = handlers[(request["do"], request["mode"])](request, seen)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception as caught:  # noqa: BLE001 - whatever the library raises is the result
            error = described(caught)
        answer = {"text": "".join(seen.pieces), "pieces": len(seen.pieces), "error": error, **seen.more}
        print(json.dumps(answer), flush=True)
