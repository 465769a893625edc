"""LiteLLM's library, with the `openai/` prefix that stands for any compatible endpoint."""

from __future__ import annotations

from typing import Any

import litellm
from driver import PROMPT, Seen, serve

litellm.telemetry = False
litellm.suppress_debug_info = True
MESSAGES = [{"role": "user", "content": PROMPT}]


def call(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": "openai/" + request["model"],
        "api_base": request["url"] + "/v1",
        "api_key": "any",
        "max_retries": request["retries"],
    }


def answer(request: dict[str, Any], seen: Seen) -> None:
    seen.whole(litellm.completion(**call(request), messages=MESSAGES).choices[0].message.content)


async def answer_async(request: dict[str, Any], seen: Seen) -> None:
    made = await litellm.acompletion(**call(request), messages=MESSAGES)
    seen.whole(made.choices[0].message.content)


def stream(request: dict[str, Any], seen: Seen) -> None:
    for chunk in litellm.completion(**call(request), messages=MESSAGES, stream=True):
        seen.piece(chunk.choices[0].delta.content)


async def stream_async(request: dict[str, Any], seen: Seen) -> None:
    async for chunk in await litellm.acompletion(**call(request), messages=MESSAGES, stream=True):
        seen.piece(chunk.choices[0].delta.content)


def embedding(request: dict[str, Any], seen: Seen) -> None:
    made = litellm.embedding(**call(request), input=[PROMPT])
    seen.more["vector"] = made.data[0]["embedding"]


serve(
    {
        ("answer", "sync"): answer,
        ("answer", "async"): answer_async,
        ("stream", "sync"): stream,
        ("stream", "async"): stream_async,
        ("embedding", "sync"): embedding,
    }
)
