"""Anthropic's Python library: sync, async and the streaming helper."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from driver import PROMPT, Seen, serve


def options(request: dict[str, Any]) -> dict[str, Any]:
    return {"base_url": request["url"], "api_key": "any", "max_retries": request["retries"]}


def call(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": request["model"],
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": PROMPT}],
    }


def texts(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def answer(request: dict[str, Any], seen: Seen) -> None:
    with Anthropic(**options(request)) as client:
        seen.whole(texts(client.messages.create(**call(request))))


async def answer_async(request: dict[str, Any], seen: Seen) -> None:
    async with AsyncAnthropic(**options(request)) as client:
        seen.whole(texts(await client.messages.create(**call(request))))


def piece(event: Any, seen: Seen) -> None:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        seen.piece(event.delta.text)


def stream(request: dict[str, Any], seen: Seen) -> None:
    with Anthropic(**options(request)) as client:
        for event in client.messages.create(**call(request), stream=True):
            piece(event, seen)


async def stream_async(request: dict[str, Any], seen: Seen) -> None:
    async with AsyncAnthropic(**options(request)) as client:
        async for event in await client.messages.create(**call(request), stream=True):
            piece(event, seen)


def stream_helper(request: dict[str, Any], seen: Seen) -> None:
    with Anthropic(**options(request)) as client, client.messages.stream(**call(request)) as events:
        for text in events.text_stream:
            seen.piece(text)
        events.get_final_message()


def models(request: dict[str, Any], seen: Seen) -> None:
    with Anthropic(**options(request)) as client:
        seen.more["ids"] = [model.id for model in client.models.list()]


serve(
    {
        ("answer", "sync"): answer,
        ("answer", "async"): answer_async,
        ("stream", "sync"): stream,
        ("stream", "async"): stream_async,
        ("stream", "helper"): stream_helper,
        ("models", "sync"): models,
    }
)
