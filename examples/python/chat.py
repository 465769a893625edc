"""Streams one chat with a proven enclave.

    VENICE_API_KEY=... python chat.py venice MODEL PROMPT [BASE_URL [COLLATERAL_URL [TRUST_ROOTS.json]]] [--asyncio]
    PRIVATEMODE_API_KEY=... python chat.py privatemode MODEL PROMPT [...]

The three optional arguments point it at a simulator or a mirror. The answer goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import proveil


def blocking(config: proveil.Config, model: str, messages: list[dict[str, str]]) -> None:
    with proveil.Client(config) as client, client.chat(model=model, messages=messages) as stream:
        print(stream.report.headline, file=sys.stderr)
        for text in stream.text():
            print(text, end="", flush=True)
        print()
        tell(stream.receipt)


async def awaiting(config: proveil.Config, model: str, messages: list[dict[str, str]]) -> None:
    async with proveil.AsyncClient(config) as client, await client.chat(model=model, messages=messages) as stream:
        print(stream.report.headline, file=sys.stderr)
        async for text in stream.text():
            print(text, end="", flush=True)
        print()
        tell(stream.receipt)


def tell(receipt: proveil.Receipt | None) -> None:
    assert receipt is not None, "a stream without an error is complete"
    print(f"{receipt.sealed_fields} sealed fields opened", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Stream one chat with a proven enclave.")
    parser.add_argument("provider")
    parser.add_argument("model")
    parser.add_argument("prompt")
    parser.add_argument("base_url", nargs="?")
    parser.add_argument("collateral_url", nargs="?")
    parser.add_argument("trust_roots", nargs="?", type=Path)
    parser.add_argument("--asyncio", action="store_true", help="with await instead of blocking calls")
    options = parser.parse_args()
    config = proveil.Config(
        provider=options.provider,
        base_url=options.base_url,
        collateral_url=options.collateral_url,
        trust_roots=options.trust_roots and proveil.TrustRoots.from_json(options.trust_roots.read_text()),
    )
    messages = [{"role": "user", "content": options.prompt}]
    try:
        if options.asyncio:
            asyncio.run(awaiting(config, options.model, messages))
        else:
            blocking(config, options.model, messages)
    except proveil.ProveilError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
