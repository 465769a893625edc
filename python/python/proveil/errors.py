"""The exceptions of Proveil: one class per family, one code per cause.

Match on the class or on ``slug``, never on text. The causes are in ``proveil._codes``, which is generated from the registry that
every language shares.
"""

from __future__ import annotations

from ._codes import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ._core import Event

__all__ = [
    "AccessError",
    "ConfigError",
    "IndeterminateError",
    "InputError",
    "IntegrityError",
    "InternalError",
    "LimitError",
    "MisuseError",
    "ProtocolError",
    "ProveilError",
    "VerificationError",
]


class ProveilError(Exception):
    """Base of all errors. ``code`` is like ``PV-205``; ``details`` has ``check``, ``expected`` and ``found`` where they are known."""

    code: str
    number: int
    slug: str
    message: str
    hint: str
    retryable: bool
    details: dict[str, str]
    events: list[Event]

    def __init__(
        self,
        slug: str,
        *,
        message: str | None = None,
        check: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        report_json: str | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        number, _, retryable, _, _, standard_message, hint = ROWS[slug]
        details = {"check": check, "expected": expected, "found": found}
        self.number = number
        self.code = f"PV-{number}"
        self.slug = slug
        self.message = standard_message if message is None else message
        self.hint = hint
        self.retryable = retryable
        self.details = {name: value for name, value in details.items() if value is not None}
        self.events = list(events)
        self._report_json = report_json
        super().__init__(self._line())

    @property
    def report(self) -> dict[str, Any] | None:
        """The ``proveil.report/v1`` document of the appraisal that led here, or ``None``."""
        if self._report_json is None:
            return None
        import json

        document: dict[str, Any] = json.loads(self._report_json)
        return document

    def _line(self) -> str:
        labels = {"check": "", "expected": "expected ", "found": "found "}
        parts = ", ".join(labels[name] + value for name, value in self.details.items())
        return f"{self.code}: {self.message}{f' [{parts}]' if parts else ''} {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The events are answer text; they stay in the process that opened them.
        return _restore, (self.slug, self.message, self.details, self._report_json)


class InputError(ProveilError, ValueError):
    """101-129: the request cannot be sent as it is."""


class ConfigError(ProveilError):
    """130-199: configuration, policy or files."""


class VerificationError(ProveilError):
    """2xx: the evidence says no. Nothing was sent."""


class IndeterminateError(ProveilError):
    """3xx: it could not be checked now. Nothing was sent."""


class IntegrityError(ProveilError):
    """4xx: an answer that is not what the proven key holder sent."""


class ProtocolError(ProveilError):
    """5xx: upstream, transport or protocol trouble, truncation."""


class LimitError(ProveilError):
    """6xx: a bound was exceeded."""


class MisuseError(ProveilError):
    """7xx: the API was used against its rules."""


class AccessError(ProveilError):
    """8xx: local access control."""


class InternalError(ProveilError):
    """9xx: a bug in Proveil."""


_CLASSES: dict[str, type[ProveilError]] = {
    kind.__name__: kind
    for kind in (
        InputError,
        ConfigError,
        VerificationError,
        IndeterminateError,
        IntegrityError,
        ProtocolError,
        LimitError,
        MisuseError,
        AccessError,
        InternalError,
    )
}


def make(slug: str, **fields: Any) -> ProveilError:
    """The error of this cause, in its class. The native module calls this."""
    return _CLASSES[ROWS[slug][1]](slug, **fields)


def _restore(slug: str, message: str, details: dict[str, str], report_json: str | None) -> ProveilError:
    return make(slug, message=message, report_json=report_json, **details)
