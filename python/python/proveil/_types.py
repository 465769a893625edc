"""Shapes of plain values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ._core import Policy, TrustRoots
    from .config import Timeouts

__all__ = ["Connection", "Model", "Options"]

_Required = TypedDict("_Required", {"id": str, "class": str})


class Model(_Required, total=False):
    """One model of a provider. ``class`` is ``e2ee``, ``tee``, ``private``, ``anonymous`` or ``unknown``."""

    context_tokens: int


class Connection(TypedDict, total=False):
    """The fields of :class:`Config` that say how to reach a provider, as keyword arguments."""

    base_url: str | None
    collateral_url: str | None
    nvidia_url: str | None
    ca_bundle: str | os.PathLike[str] | None
    proxy: str | None
    cache_dir: str | os.PathLike[str] | None
    pins: str | os.PathLike[str] | None
    manifest: str | bytes | None
    manifest_url: str | None
    amd_url: str | None
    gpu_revocation_grace_s: int | None
    cache_salt: str | None
    key_service_name: str | None
    workspace: str | os.PathLike[str] | None
    timeouts: Timeouts
    api_key: str | None
    api_key_env: str | None


class Options(Connection, total=False):
    """All fields of :class:`Config` as keyword arguments."""

    provider: str
    policy: Policy
    trust_roots: TrustRoots | None
