"""Shapes of plain values."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["Model"]

_Required = TypedDict("_Required", {"id": str, "class": str})


class Model(_Required, total=False):
    """One model of a provider. ``class`` is ``e2ee``, ``tee``, ``private``, ``anonymous`` or ``unknown``."""

    context_tokens: int
