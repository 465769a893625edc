"""Proveil proves the enclave behind a private AI endpoint and veils what is sent to it.

Three outcomes, never two: *verified*, *refused*, *indeterminate*. Only *verified* sends, and only sealed to the proven key::

    import proveil

    with proveil.Client(provider="venice") as client:
        stream = client.chat(model="e2ee-glm-5-2-p", messages=[{"role": "user", "content": "Hello"}])
        for text in stream.text():
            print(text, end="")
        print(stream.report.headline)
"""

from __future__ import annotations

from ._core import (
    Check,
    Event,
    EvidenceBundle,
    Exchange,
    HttpRequest,
    Opener,
    Outcome,
    Policy,
    Receipt,
    Report,
    SealedRequest,
    TrustRoots,
    VerifiedEndpoint,
    __version__,
    inspect,
    inspect_kinds,
    open_field,
    opener_for_key,
    providers,
    seal_field,
    verify_evidence,
)
from .errors import (
    AccessError,
    ConfigError,
    IndeterminateError,
    InputError,
    IntegrityError,
    InternalError,
    LimitError,
    MisuseError,
    ProtocolError,
    ProveilError,
    VerificationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from typing_extensions import Unpack

    from ._core import Buffer, Document
    from ._types import Connection, Model, Options
    from .aio import AsyncClient, AsyncStream
    from .client import Client, Stream
    from .config import Config, Timeouts

# These need modules of the standard library that take longer to load than all of the above; they are loaded when they are used.
_LATER = {
    "AsyncClient": "aio",
    "AsyncStream": "aio",
    "Client": "client",
    "Config": "config",
    "Connection": "_types",
    "Model": "_types",
    "Options": "_types",
    "Stream": "client",
    "Timeouts": "config",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "AccessError",
    "AsyncClient",
    "AsyncStream",
    "Check",
    "Client",
    "Config",
    "ConfigError",
    "Connection",
    "Event",
    "EvidenceBundle",
    "Exchange",
    "HttpRequest",
    "IndeterminateError",
    "InputError",
    "IntegrityError",
    "InternalError",
    "LimitError",
    "MisuseError",
    "Model",
    "Opener",
    "Options",
    "Outcome",
    "Policy",
    "ProtocolError",
    "ProveilError",
    "Receipt",
    "Report",
    "SealedRequest",
    "Stream",
    "Timeouts",
    "TrustRoots",
    "VerificationError",
    "VerifiedEndpoint",
    "__version__",
    "inspect",
    "inspect_kinds",
    "models",
    "open_field",
    "opener_for_key",
    "providers",
    "seal_field",
    "verify",
    "verify_evidence",
]


def verify(
    provider: str,
    model: str | None,
    policy: Policy | None = None,
    evidence: Document | None = None,
    at: datetime | int | None = None,
    *,
    nonce: Buffer | str | None = None,
    collateral: Document | Iterable[Document] | None = None,
    trust_roots: TrustRoots | None = None,
    **connection: Unpack[Connection],
) -> Report:
    """Verifies an endpoint now or, with ``evidence``, judges a recorded answer without network.

    A recorded answer needs the ``nonce`` that was sent, the vendor ``collateral`` (one JSON document per platform) and the time
    ``at`` (an aware datetime or seconds since 1970). All three verdicts are a report.
    """
    from .errors import make

    if evidence is not None:
        missing = [name for name, value in (("nonce", nonce), ("at", at)) if value is None]
        if nonce is None or at is None:
            raise make("invalid_argument", check=" and ".join(missing), expected="given together with evidence")
        given = () if collateral is None else collateral
        return verify_evidence(provider, evidence, nonce, given, at, model, policy, trust_roots)
    for name, value in (("nonce", nonce), ("at", at), ("collateral", collateral)):
        if value is not None:
            raise make("invalid_argument", check=name, expected="given only together with evidence")
    if model is None:
        raise make("invalid_argument", check="model", expected="a model id")
    from .client import Client
    from .config import Config

    policy = Policy.standard() if policy is None else policy
    with Client(Config(provider, policy=policy, trust_roots=trust_roots, **connection)) as client:
        return client.verify(model)


def models(provider: str = "venice", **connection: Unpack[Connection]) -> list[Model]:
    """The provider's models, each with its privacy class: only ``e2ee`` ones can be used with a :class:`Client`."""
    from .client import Client
    from .config import Config

    with Client(Config(provider, **connection)) as client:
        return client.models()
