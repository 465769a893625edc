"""Chats with a proven enclave for asyncio. The same core path as :mod:`proveil.client`, in the caller's own event loop."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from .client import read_models, refuse_pickle
from .config import Config, client_handle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._core import Buffer, Document, Event, EvidenceBundle, Receipt, Report, StreamHandle, VerifiedEndpoint
    from ._types import Model, Options

__all__ = ["AsyncClient", "AsyncStream"]

T = TypeVar("T", covariant=True)


class _Pending(Protocol[T]):
    def take(self) -> T: ...
    def abort(self) -> None: ...


async def finish(start: Callable[[Callable[[], object]], _Pending[T]]) -> T:
    """Starts a native call and waits for it. Cancelling the task drops the call, and its result if that is there already: its connection
    closes, its keys are wiped."""
    # Not at the top: whoever uses this module has asyncio loaded, whoever does not should not pay for it.
    from asyncio import get_running_loop

    loop = get_running_loop()
    ended = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    pending = start(partial(loop.call_soon_threadsafe, end))
    try:
        await ended
    except BaseException:
        pending.abort()
        raise
    return pending.take()


class AsyncClient:
    """:class:`proveil.Client` with ``await``."""

    def __init__(self, config: Config | None = None, /, **options: Unpack[Options]) -> None:
        self._handle = client_handle(config, **options)

    async def models(self) -> list[Model]:
        """The provider's models, each with its privacy class: only ``e2ee`` ones can be used here."""
        return read_models(await finish(self._handle.models_json))

    async def verify(self, model: str) -> Report:
        """A fresh verification. All three verdicts are a report; look at ``report.verdict``.

        An error means that there was nothing to judge: an argument or setting that cannot be used (PV-1xx, with pins that cannot be
        read), a provider whose model list, manifest, attestation or key exchange could not be fetched (PV-3xx), or one that answered
        with an error (PV-5xx).
        """
        return await finish(lambda wake: self._handle.verify(model, wake))

    async def capture(self, model: str) -> EvidenceBundle:
        """A fresh verification with everything that it used, whatever its verdict, to be kept and judged again without network."""
        return await finish(lambda wake: self._handle.capture(model, wake))

    async def ready(self, model: str) -> VerifiedEndpoint:
        """A proof that is good now, from an earlier call or fresh; raises ``VerificationError`` or ``IndeterminateError``."""
        return await finish(lambda wake: self._handle.ready(model, wake))

    async def chat(self, *, model: str, messages: Sequence[Mapping[str, Any]], **openai_params: Any) -> AsyncStream:
        """Verifies the endpoint if that is due, seals the request, sends it, and opens the streamed answer.

        What it says besides texts comes as events of kind ``document``; see :meth:`proveil.Client.chat`.
        """
        body = {"model": model, "messages": messages, **openai_params}
        return AsyncStream(await finish(lambda wake: self._handle.chat(body, wake)))

    async def send(self, endpoint_path: str, body: Document, content_type: str | None = None) -> AsyncStream:
        """As :meth:`chat`, for any endpoint of the API that the provider carries sealed; see :meth:`proveil.Client.send`."""
        return AsyncStream(await finish(lambda wake: self._handle.send(endpoint_path, body, content_type, wake)))

    async def embeddings(self, body: Document) -> str:
        """Embeds texts; see :meth:`proveil.Client.embeddings`."""
        return await finish(lambda wake: self._handle.embeddings(body, wake))

    async def transcriptions(self, body: Buffer, content_type: str) -> str:
        """Transcribes a recording; see :meth:`proveil.Client.transcriptions`."""
        return await finish(lambda wake: self._handle.transcriptions(body, content_type, wake))

    async def close(self) -> None:
        """Drops connections and proofs; later calls raise ``MisuseError``. Streams under way live on."""
        self._handle.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        refuse_pickle("AsyncClient")


class AsyncStream:
    """:class:`proveil.Stream` for ``async for``. Cancelling a task that waits for the next event closes the stream, as the end of an
    ``async with`` block and ``close`` do. An ``async for`` loop over the stream itself can be left and gone on with later, so use
    ``async with`` where it may be left early: otherwise the connection stays open until the stream is garbage.
    """

    def __init__(self, handle: StreamHandle) -> None:
        self._handle = handle
        self._events: deque[Event] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            if not self._events:
                events = await finish(self._handle.next_events)
                if events is None:
                    raise StopAsyncIteration
                self._events.extend(events)
            return self._events.popleft()
        except Exception:
            raise
        except BaseException:
            # The call may have ended in the moment in which its task was cancelled. What it brought is lost then, so the rest must not
            # be read as if nothing were missing.
            self._drop()
            raise

    async def text(self) -> AsyncIterator[str]:
        """Only the text of the answer (of its first choice), piece by piece.

        An iterator that was begun and is closed, or dropped, before its end closes the stream.
        """
        try:
            async for event in self:
                if event.kind == "content" and event.choice == 0:
                    yield event.text
        except Exception:
            raise
        except BaseException:
            self._drop()
            raise

    @property
    def report(self) -> Report:
        """The report of the verification that the request was sealed under."""
        return self._handle.report

    @property
    def receipt(self) -> Receipt | None:
        """What is known about the answer after its end; ``None`` before."""
        return self._handle.receipt

    async def verify_signature(self) -> str:
        """Asks for the enclave's signature of the finished answer and judges it; see :meth:`proveil.Stream.verify_signature`."""
        return await finish(self._handle.verify_signature)

    async def close(self) -> None:
        """Closes the connection and wipes the keys."""
        self._drop()

    def _drop(self) -> None:
        self._events.clear()
        self._handle.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        refuse_pickle("AsyncStream")
