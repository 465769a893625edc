"""A call that is cancelled or interrupted in the moment in which it ends: nothing of an answer is lost without a word (users.md 2.7)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import proveil
import pytest
from conftest import WATCHDOG_S, Simulator
from test_simulator import MESSAGES, MODEL


# Also in tests/uniffi: the two run in environments of their own, from folders that share no code.
class Loop(asyncio.SelectorEventLoop):
    """Tells when a native call has ended: it wakes its loop from another thread, and as the last thing that it does."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = threading.Condition()
        self._begun = self._ended = self._known = 0

    def call_soon_threadsafe(self, *arguments: Any, **options: Any) -> asyncio.Handle:
        with self._calls:
            self._begun += 1
        handle = super().call_soon_threadsafe(*arguments, **options)
        with self._calls:
            self._ended += 1
            self._calls.notify_all()
        return handle

    def forget(self) -> None:
        """From here on only new calls count; one that woke the loop already may not have returned yet."""
        with self._calls:
            assert self._calls.wait_for(lambda: self._ended == self._begun, WATCHDOG_S)
            self._known = self._ended

    def is_woken(self) -> bool:
        """Waits, with the loop standing still, until another thread woke it."""
        with self._calls:
            return self._calls.wait_for(lambda: self._ended > self._known, WATCHDOG_S)


@pytest.fixture()
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def cancel_now(task: asyncio.Task[Any]) -> None:
    """The result is there and nobody has been told yet."""
    task.cancel()


def cancel_next(task: asyncio.Task[Any]) -> None:
    """The task has been told that the result is there and has not run yet."""
    asyncio.get_running_loop().call_soon(task.cancel)


async def cancelled_at_its_end(loop: Loop, call: Awaitable[Any], end: Callable[[], object], cancel: Callable[..., None]) -> Any:
    """Lets a native call end while the loop stands still, then cancels the task that waits for it."""
    loop.forget()
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)  # the task runs on to where it waits
    end()
    assert loop.is_woken()
    cancel(task)
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught


@pytest.mark.parametrize("cancel", [cancel_now, cancel_next])
def test_events_that_were_there_already(loop: Loop, simulator: Simulator, cancel: Callable[..., None]) -> None:
    async def main() -> None:
        async with proveil.AsyncClient(simulator.config()) as client:
            simulator.tell("hold 2")
            stream = await client.chat(model=MODEL, messages=MESSAGES)
            await anext_of(stream)
            await cancelled_at_its_end(loop, anext_of(stream), lambda: simulator.tell("release"), cancel)
            with pytest.raises(proveil.MisuseError) as caught:
                await anext_of(stream)
            assert caught.value.slug == "already_finished" and stream.receipt is None

    loop.run_until_complete(main())


async def anext_of(stream: proveil.AsyncStream) -> proveil.Event:
    return await stream.__anext__()


@pytest.mark.parametrize("cancel", [cancel_now, cancel_next])
def test_an_answer_that_had_begun_already(loop: Loop, simulator: Simulator, cancel: Callable[..., None]) -> None:
    """Nobody will read it, so its connection closes, though the exception with its frames is kept."""

    async def main() -> None:
        async with proveil.AsyncClient(simulator.config()) as client:
            await client.ready(MODEL)
            simulator.tell("hold 2")
            kept = await cancelled_at_its_end(loop, client.chat(model=MODEL, messages=MESSAGES), lambda: None, cancel)
            await asyncio.to_thread(simulator.tell, "abandoned")
            assert kept is not None

    loop.run_until_complete(main())


class Interrupted:
    """The native half of a stream, with an interrupt right after each call."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def next_events(self) -> None:
        self._handle.next_events()
        raise KeyboardInterrupt

    def close(self) -> None:
        self._handle.close()


def test_an_interrupt_between_a_call_and_its_caller(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        simulator.tell("hold 2")
        stream = client.chat(model=MODEL, messages=MESSAGES)
        handle = stream._handle
        stream._handle = Interrupted(handle)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        stream._handle = handle
        simulator.tell("abandoned")
        with pytest.raises(proveil.MisuseError) as caught:
            next(stream)
        assert caught.value.slug == "already_finished" and stream.receipt is None


def test_leaving_the_text_early_closes_the_stream(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client:
        simulator.tell("hold 2")
        stream = client.chat(model=MODEL, messages=MESSAGES)
        for text in stream.text():
            assert text
            break
        simulator.tell("abandoned")
        with pytest.raises(proveil.MisuseError):
            next(stream)
        assert stream.receipt is None


def test_leaving_the_async_text_early_closes_the_stream(simulator: Simulator) -> None:
    async def main() -> None:
        async with proveil.AsyncClient(simulator.config()) as client:
            simulator.tell("hold 2")
            stream = await client.chat(model=MODEL, messages=MESSAGES)
            async for text in stream.text():
                assert text
                break
            await asyncio.to_thread(simulator.tell, "abandoned")
            with pytest.raises(proveil.MisuseError):
                await anext_of(stream)
            assert stream.receipt is None

    asyncio.run(main())


def test_a_loop_over_the_stream_can_be_gone_on_with(simulator: Simulator) -> None:
    with proveil.Client(simulator.config()) as client, client.chat(model=MODEL, messages=MESSAGES) as stream:
        for event in stream:
            assert event.kind
            break
        assert "".join(stream.text()) and stream.receipt is not None
