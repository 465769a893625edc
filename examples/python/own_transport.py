"""The same chat over a transport of your own, here the standard library's: Proveil opens no socket.

    VENICE_API_KEY=... python own_transport.py MODEL [PROMPT]

--base-url, --collateral-url and --trust-roots FILE point it at `proveil simulate venice`.
"""

from __future__ import annotations

import argparse
import http.client
import os
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

import proveil


def connect(request: proveil.HttpRequest) -> http.client.HTTPResponse:
    """Sends a request as it is and gives the answer, its body unread. Follows no redirect."""
    url = urlsplit(request.url)
    assert url.hostname is not None
    if request.pinned_spki:
        raise NotImplementedError("this transport cannot check a pinned key, so it must not send")
    if url.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=60, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    path = url.path + (f"?{url.query}" if url.query else "")
    connection.request(request.method, path, body=request.body or None, headers=dict(request.headers))
    return connection.getresponse()


def prove(exchange: proveil.Exchange) -> proveil.VerifiedEndpoint:
    """Carries out what the verification asks for until it has an outcome."""
    while True:
        step = exchange.next()
        if isinstance(step, proveil.Outcome):
            print(step.report.headline, file=sys.stderr)
            return step.endpoint()
        print(f"fetching {step.purpose}", file=sys.stderr)
        try:
            with connect(step) as answer:
                body = answer.read(step.max_response_bytes + 1)
                if len(body) > step.max_response_bytes:
                    exchange.fail("too_large")
                else:
                    exchange.feed(answer.status, answer.getheaders(), body)
        except TimeoutError:
            exchange.fail("timeout")
        except OSError:
            exchange.fail("connect")


def chat(endpoint: proveil.VerifiedEndpoint, prompt: str) -> None:
    """Seals a prompt, sends it, and prints the answer as its pieces arrive."""
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": prompt}]}
    sealed, opener = endpoint.seal(body)
    with connect(sealed.request) as answer:
        opener.head(answer.status, answer.getheaders())
        while piece := answer.read1():
            print("".join(opener.push_text(piece)), end="", flush=True)
    receipt = opener.finish()
    print(f"\n{receipt.sealed_fields} sealed fields opened", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Chat over a transport of your own.")
    parser.add_argument("model")
    parser.add_argument("prompt", nargs="?", default="Say hello.")
    parser.add_argument("--base-url")
    parser.add_argument("--collateral-url")
    parser.add_argument("--trust-roots", type=Path)
    options = parser.parse_args()
    roots = options.trust_roots and proveil.TrustRoots.from_json(options.trust_roots.read_text())
    key = os.environ.get("VENICE_API_KEY", "")
    try:
        exchange = proveil.Exchange(
            "venice", options.model, key, base_url=options.base_url, collateral_url=options.collateral_url, trust_roots=roots
        )
        chat(prove(exchange), options.prompt)
    except proveil.ProveilError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
