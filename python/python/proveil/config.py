"""What a client needs to know. A :class:`Config` is a value: frozen, hashable, picklable; it opens nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from ._core import ClientHandle, Policy, TrustRoots, default_api_key_variable
from .errors import make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Options

__all__ = ["Config", "Timeouts"]


@dataclass(frozen=True)
class Timeouts:
    """Limits in whole seconds; ``None`` keeps the default."""

    connect_s: int | None = None
    """Name resolution, connection and TLS handshake of one request."""
    first_byte_s: int | None = None
    """From the sent request to the first byte of an answer."""
    idle_s: int | None = None
    """Longest gap inside an answer."""
    verification_s: int | None = None
    """A whole verification, all its requests together."""


@dataclass(frozen=True, repr=False)
class Config:
    """How to reach a provider and what must hold there.

    The API key comes from ``api_key`` when that is given, else from the environment variable ``api_key_env`` (default: the
    provider's, ``VENICE_API_KEY`` for Venice) or from the file that the same variable with ``_FILE`` names. It is read when a
    client is built, so a config holds no key unless one was given literally.
    """

    provider: str = "venice"
    base_url: str | None = None
    """Where the provider is reached; ``None`` for its public address."""
    collateral_url: str | None = None
    """Where Intel-style collateral is fetched; ``None`` for Intel's service."""
    nvidia_url: str | None = None
    """Where NVIDIA's manifests, OCSP answers and attestation service are reached; ``None`` for NVIDIA's hosts. They are asked only
    where the policy requires what they say."""
    policy: Policy = field(default_factory=Policy.standard)
    trust_roots: TrustRoots | None = None
    """Whose signatures count; ``None`` for the pinned vendor roots."""
    ca_bundle: str | os.PathLike[str] | None = None
    """PEM file of further certificate authorities for TLS, besides the built-in public ones."""
    proxy: str | None = "environment"
    """``"environment"`` honours HTTPS_PROXY and NO_PROXY; ``None`` uses no proxy; otherwise the proxy's URL."""
    cache_dir: str | os.PathLike[str] | None = None
    """Where vendor collateral is kept (it is verified again on each use); ``None`` keeps it in memory."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    api_key: str | None = None
    api_key_env: str | None = None
    pins: str | os.PathLike[str] | None = None
    """File of pinned software, as ``proveil pin`` keeps it. Other software than the pinned one raises ``VerificationError``
    (``software_changed``), a file that cannot be read ``ConfigError`` (``pins_invalid``); ``None`` for no pins."""
    manifest: str | bytes | None = None
    """Privatemode: the manifest that the deployment must have, byte for byte; then it proves the software. ``None`` takes the one that
    the provider publishes, which says what runs and not that this is right."""
    manifest_url: str | None = None
    """Privatemode: where manifests are published; ``None`` for the provider's own host."""
    amd_url: str | None = None
    """Privatemode: where AMD's key distribution service is reached; ``None`` for AMD's own."""
    gpu_revocation_grace_s: int | None = None
    """Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so many seconds ago; ``None``
    and 0 take only those that were not revoked."""
    cache_salt: str | None = None
    """Privatemode: a secret of at least 32 bytes. Prompts with the same one can share what the service keeps of them; ``None`` gives
    each request its own."""
    key_service_name: str | None = None
    """Privatemode: DNS name that the key service's certificate must have, instead of those in the manifest."""
    workspace: str | os.PathLike[str] | None = None
    """Privatemode: folder whose ``manifests`` keeps each manifest that the deployment was proven to run, with ``log.txt`` of when it was
    first seen and what changed; ``None`` for no such log. A log that cannot be written is no error."""

    def __post_init__(self) -> None:
        for name in ("ca_bundle", "cache_dir", "pins", "workspace"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, os.fspath(path))

    def __repr__(self) -> str:
        proxy = self.proxy if self.proxy in (None, "environment") else "<url>"
        shown = {
            "provider": self.provider,
            "base_url": self.base_url,
            "collateral_url": self.collateral_url,
            "nvidia_url": self.nvidia_url,
            "policy": self.policy,
            "trust_roots": self.trust_roots,
            "ca_bundle": self.ca_bundle,
            "proxy": proxy,
            "cache_dir": self.cache_dir,
            "pins": self.pins,
            "manifest": None if self.manifest is None else f"<{len(self.manifest)}>",
            "manifest_url": self.manifest_url,
            "amd_url": self.amd_url,
            "gpu_revocation_grace_s": self.gpu_revocation_grace_s,
            "key_service_name": self.key_service_name,
            "workspace": self.workspace,
            "timeouts": self.timeouts,
            "api_key_env": self.api_key_env,
        }
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def combine(config: Config | None, options: Options) -> Config:
    """A config with some fields replaced."""
    return Config(**options) if config is None else replace(config, **options)


def client_handle(config: Config | None, **options: Unpack[Options]) -> ClientHandle:
    """The native client for a config."""
    config = combine(config, options)
    times = config.timeouts
    return ClientHandle(
        config.provider,
        _api_key(config),
        base_url=config.base_url,
        collateral_url=config.collateral_url,
        nvidia_url=config.nvidia_url,
        policy=config.policy,
        trust_roots=config.trust_roots,
        ca_bundle_pem=None if config.ca_bundle is None else _read("ca_bundle", config.ca_bundle),
        proxy=config.proxy,
        cache_dir=config.cache_dir,
        pins=config.pins,
        connect_s=times.connect_s,
        first_byte_s=times.first_byte_s,
        idle_s=times.idle_s,
        verification_s=times.verification_s,
        manifest=config.manifest,
        manifest_url=config.manifest_url,
        amd_url=config.amd_url,
        gpu_revocation_grace_s=config.gpu_revocation_grace_s,
        cache_salt=config.cache_salt,
        key_service_name=config.key_service_name,
        workspace=config.workspace,
    )


def _api_key(config: Config) -> str:
    if config.api_key is not None:
        return config.api_key
    variable = config.api_key_env or default_api_key_variable(config.provider)
    key = os.environ.get(variable, "")
    path = os.environ.get(f"{variable}_FILE", "")
    if not key and path:
        key = _read(f"{variable}_FILE", path).decode("utf-8", "replace").strip()
    if not key:
        raise make("missing_api_key", check=variable)
    return key


def _read(name: str, path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise make("file_unreadable", check=name, found=f"{os.fspath(path)}: {error.strerror}") from None
