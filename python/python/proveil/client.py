"""Chats with a proven enclave, blocking form. See :mod:`proveil.aio` for the same with ``await``."""

from __future__ import annotations

from collections import deque

from .config import Config, client_handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, NoReturn

    from typing_extensions import Self, Unpack

    from ._core import Buffer, Document, Event, EvidenceBundle, Receipt, Report, StreamHandle, VerifiedEndpoint
    from ._types import Model, Options

__all__ = ["Client", "Stream"]


def refuse_pickle(name: str) -> NoReturn:
    raise TypeError(f"a {name} cannot be pickled: pickle the Config, build the Client in the worker")


class Client:
    """Verifies endpoints and chats with them. Cheap to make: it opens no socket and starts no thread before the first call.

    Give a :class:`Config`, or its fields as keyword arguments, or both (the arguments win). Safe to share between threads; a forked
    child works afresh.
    """

    def __init__(self, config: Config | None = None, /, **options: Unpack[Options]) -> None:
        self._handle = client_handle(config, **options)

    def models(self) -> list[Model]:
        """The provider's models, each with its privacy class: only ``e2ee`` ones can be used here."""
        return read_models(self._handle.models_json())

    def verify(self, model: str) -> Report:
        """A fresh verification. All three verdicts are a report; look at ``report.verdict``.

        An error means that there was nothing to judge: an argument or setting that cannot be used (PV-1xx, with pins that cannot be
        read), a provider whose model list, manifest, attestation or key exchange could not be fetched (PV-3xx), or one that answered
        with an error (PV-5xx).
        """
        return self._handle.verify(model)

    def capture(self, model: str) -> EvidenceBundle:
        """A fresh verification with everything that it used, whatever its verdict, to be kept and judged again without network."""
        return self._handle.capture(model)

    def ready(self, model: str) -> VerifiedEndpoint:
        """A proof that is good now, from an earlier call or fresh; raises ``VerificationError`` or ``IndeterminateError``."""
        return self._handle.ready(model)

    def chat(self, *, model: str, messages: Sequence[Mapping[str, Any]], **openai_params: Any) -> Stream:
        """Verifies the endpoint if that is due, seals the request, sends it, and opens the streamed answer.

        Parameters are those of the OpenAI chat form. What the provider cannot take encrypted is refused with ``InputError``. What an
        answer says besides texts (calls of tools, refusals, log probabilities) comes as events of kind ``document``, before its texts.
        """
        return Stream(self._handle.chat({"model": model, "messages": messages, **openai_params}))

    def send(self, endpoint_path: str, body: Document, content_type: str | None = None) -> Stream:
        """As :meth:`chat`, for any endpoint of the API that the provider carries sealed, by its path: ``/v1/messages``, ...

        ``body`` is JSON (text, bytes or a dict), or a form or document as bytes, with its ``content_type``. The answer comes as events
        of kind ``document``: one for a whole answer, one for each event of a streamed one.
        """
        return Stream(self._handle.send(endpoint_path, body, content_type))

    def embeddings(self, body: Document) -> str:
        """Embeds texts: ``body`` has the OpenAI form, with ``model`` and ``input``. Gives the whole answer as JSON text."""
        return self._handle.embeddings(body)

    def transcriptions(self, body: Buffer, content_type: str) -> str:
        """Transcribes a recording: ``body`` is a form with ``model`` and ``file``, and ``content_type`` (``multipart/form-data``) names
        its boundary. Gives the whole answer as JSON text."""
        return self._handle.transcriptions(body, content_type)

    def close(self) -> None:
        """Drops connections and proofs; later calls raise ``MisuseError``. Streams under way live on."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        refuse_pickle("Client")


class Stream:
    """An answer as it arrives: an iterator of :class:`Event`.

    It ends only after the provider's end mark; a cut answer raises ``ProtocolError`` (``truncated``). The end of a ``with`` block,
    ``close``, and an interrupt (Ctrl-C) close the connection and wipe the keys. So does leaving :meth:`text` early, as soon as its
    iterator goes. A ``for`` loop over the stream itself can be left and gone on with later, so use ``with`` where it may be left early:
    otherwise the connection stays open until the stream is garbage.
    """

    def __init__(self, handle: StreamHandle) -> None:
        self._handle = handle
        self._events: deque[Event] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            if not self._events:
                events = self._handle.next_events()
                if events is None:
                    raise StopIteration
                self._events.extend(events)
            return self._events.popleft()
        except Exception:
            raise
        except BaseException:
            # An interrupt can fall between the native call and its caller. What had arrived is lost then, so the rest must not be read
            # as if nothing were missing.
            self.close()
            raise

    def text(self) -> Iterator[str]:
        """Only the text of the answer (of its first choice), piece by piece.

        An iterator that was begun and is closed, or dropped, before its end closes the stream.
        """
        try:
            for event in self:
                if event.kind == "content" and event.choice == 0:
                    yield event.text
        except Exception:
            raise
        except BaseException:
            self.close()
            raise

    @property
    def report(self) -> Report:
        """The report of the verification that the request was sealed under."""
        return self._handle.report

    @property
    def receipt(self) -> Receipt | None:
        """What is known about the answer after its end; ``None`` before."""
        return self._handle.receipt

    def verify_signature(self) -> str:
        """Asks for the enclave's signature of the finished answer and judges it.

        ``body_matches``: it covers exactly the bytes exchanged. ``signed_body_not_verifiable``: the enclave signed for this answer's
        id, but over bytes that cannot be compared, so the text is not vouched for.
        """
        return self._handle.verify_signature()

    def close(self) -> None:
        """Closes the connection and wipes the keys."""
        self._events.clear()
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        refuse_pickle("Stream")


def read_models(text: str) -> list[Model]:
    """The list in the JSON that the native client gives."""
    import json

    models: list[Model] = json.loads(text)["models"]
    return models
