"""LangChain's ChatOpenAI and OpenAIEmbeddings."""

from __future__ import annotations

from typing import Any

from driver import PROMPT, Seen, serve
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def chat(request: dict[str, Any]) -> ChatOpenAI:
    return ChatOpenAI(
        model=request["model"], base_url=request["url"] + "/v1", api_key="any", max_retries=request["retries"]
    )


def answer(request: dict[str, Any], seen: Seen) -> None:
    seen.whole(chat(request).invoke(PROMPT).content)


async def answer_async(request: dict[str, Any], seen: Seen) -> None:
    seen.whole((await chat(request).ainvoke(PROMPT)).content)


def stream(request: dict[str, Any], seen: Seen) -> None:
    for chunk in chat(request).stream(PROMPT):
        seen.piece(chunk.content)


async def stream_async(request: dict[str, Any], seen: Seen) -> None:
    async for chunk in chat(request).astream(PROMPT):
        seen.piece(chunk.content)


def embedding(request: dict[str, Any], seen: Seen) -> None:
    # Without the check, texts are sent as texts; with it as numbers of OpenAI's own tokens, whose table it fetches from the network.
    embeddings = OpenAIEmbeddings(
        model=request["model"],
        base_url=request["url"] + "/v1",
        api_key="any",
        max_retries=request["retries"],
        check_embedding_ctx_length=False,
    )
    seen.more["vector"] = embeddings.embed_query(PROMPT)


serve(
    {
        ("answer", "sync"): answer,
        ("answer", "async"): answer_async,
        ("stream", "sync"): stream,
        ("stream", "async"): stream_async,
        ("embedding", "sync"): embedding,
    }
)
