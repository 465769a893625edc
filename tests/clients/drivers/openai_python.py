"""openai-python, 2.x and 3.x: sync, async, raw responses and the streaming helper."""

from __future__ import annotations

from typing import Any

from driver import PROMPT, Seen, serve
from openai import AsyncOpenAI, OpenAI

MESSAGES: Any = [{"role": "user", "content": PROMPT}]


def options(request: dict[str, Any]) -> dict[str, Any]:
    return {"base_url": request["url"] + "/v1", "api_key": "any", "max_retries": request["retries"]}


def answer(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        made = client.chat.completions.create(model=request["model"], messages=MESSAGES)
        seen.whole(made.choices[0].message.content)


async def answer_async(request: dict[str, Any], seen: Seen) -> None:
    async with AsyncOpenAI(**options(request)) as client:
        made = await client.chat.completions.create(model=request["model"], messages=MESSAGES)
        seen.whole(made.choices[0].message.content)


def answer_raw(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        raw = client.chat.completions.with_raw_response.create(model=request["model"], messages=MESSAGES)
        seen.more["verdict"] = raw.headers.get("x-proveil-verdict")
        seen.whole(raw.parse().choices[0].message.content)


def stream(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        for chunk in client.chat.completions.create(model=request["model"], messages=MESSAGES, stream=True):
            for choice in chunk.choices:
                seen.piece(choice.delta.content)


async def stream_async(request: dict[str, Any], seen: Seen) -> None:
    async with AsyncOpenAI(**options(request)) as client:
        chunks = await client.chat.completions.create(model=request["model"], messages=MESSAGES, stream=True)
        async for chunk in chunks:
            for choice in chunk.choices:
                seen.piece(choice.delta.content)


def stream_raw(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=request["model"], messages=MESSAGES, stream=True
        )
        seen.more["verdict"] = raw.headers.get("x-proveil-verdict")
        for chunk in raw.parse():
            for choice in chunk.choices:
                seen.piece(choice.delta.content)


def stream_helper(request: dict[str, Any], seen: Seen) -> None:
    with (
        OpenAI(**options(request)) as client,
        client.chat.completions.stream(model=request["model"], messages=MESSAGES) as events,
    ):
        for event in events:
            if event.type == "content.delta":
                seen.piece(event.delta)


def embedding(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        seen.more["vector"] = client.embeddings.create(model=request["model"], input=PROMPT).data[0].embedding


async def embedding_async(request: dict[str, Any], seen: Seen) -> None:
    async with AsyncOpenAI(**options(request)) as client:
        made = await client.embeddings.create(model=request["model"], input=PROMPT)
        seen.more["vector"] = made.data[0].embedding


def responses(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        seen.whole(client.responses.create(model=request["model"], input=PROMPT).output_text)


def models(request: dict[str, Any], seen: Seen) -> None:
    with OpenAI(**options(request)) as client:
        seen.more["ids"] = [model.id for model in client.models.list()]


serve(
    {
        ("answer", "sync"): answer,
        ("answer", "async"): answer_async,
        ("answer", "raw"): answer_raw,
        ("stream", "sync"): stream,
        ("stream", "async"): stream_async,
        ("stream", "raw"): stream_raw,
        ("stream", "helper"): stream_helper,
        ("embedding", "sync"): embedding,
        ("embedding", "async"): embedding_async,
        ("responses", "sync"): responses,
        ("models", "sync"): models,
    }
)
