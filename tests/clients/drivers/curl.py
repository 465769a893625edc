"""curl, as scripts use it: `--fail-with-body`, and the text of a stream read by the lines. What curl itself notices is its exit code."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from driver import PROMPT, Seen, serve


class Refused(Exception):
    """curl ended with an error of its own, or the last event of a stream was one."""

    def __init__(self, name: str, body: str, status: int | None) -> None:
        super().__init__(f"{name}: {body}")
        self.name, self.status_code = name, status
        # Tried again, curl writes the bodies of all tries one after the other.
        start = body.rfind('{"error"')
        self.body = json.loads(body[start:]) if start >= 0 else None


def curl(request: dict[str, Any], path: str, body: dict[str, Any]) -> str:
    arguments = ["curl", "--silent", "--no-buffer", "--fail-with-body", "--write-out", "%{stderr}%{http_code}"]
    if request["retries"]:
        arguments += ["--retry", str(request["retries"])]
    done = subprocess.run(
        [*arguments, "--json", json.dumps({"model": request["model"], **body}), request["url"] + path],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(f"exit code {done.returncode}", done.stdout, int(done.stderr[-3:]))
    return done.stdout


def messages() -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT}]


def answer(request: dict[str, Any], seen: Seen) -> None:
    made = json.loads(curl(request, "/v1/chat/completions", {"messages": messages()}))
    seen.whole(made["choices"][0]["message"]["content"])


def stream(request: dict[str, Any], seen: Seen) -> None:
    text = curl(request, "/v1/chat/completions", {"messages": messages(), "stream": True})
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    ended = events[-1] == "[DONE]"
    for event in map(json.loads, events[:-1] if ended else events):
        if "error" in event:
            raise Refused("error event without [DONE]", json.dumps(event), None)
        for choice in event["choices"]:
            seen.piece(choice["delta"].get("content"))
    if not ended:
        raise Refused("no [DONE]", text, None)


def embedding(request: dict[str, Any], seen: Seen) -> None:
    made = json.loads(curl(request, "/v1/embeddings", {"input": PROMPT}))
    seen.more["vector"] = made["data"][0]["embedding"]


serve({("answer", "sync"): answer, ("stream", "sync"): stream, ("embedding", "sync"): embedding})
