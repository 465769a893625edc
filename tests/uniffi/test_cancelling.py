"""Streams that are closed or whose calls are cancelled, over the UniFFI interface (users.md 2.7). `cargo xtask test-uniffi` runs it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import unittest
from collections.abc import Callable
from typing import Any

from test_surface import ROOT, case, proveil

WATCHDOG_S = 300


# Also in python/tests: the two run in environments of their own, from folders that share no code.
class Loop(asyncio.SelectorEventLoop):
    """Tells when a native call has something new: it wakes its loop from another thread."""

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


class Cancelling(unittest.TestCase):
    process: subprocess.Popen[str]
    about: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        program = ROOT / "target/debug/examples/serve"
        cls.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.about = json.loads(cls.process.stdout.readline())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.process.communicate()

    def command(self, text: str) -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        self.assertEqual(json.loads(self.process.stdout.readline()), {})

    async def held_chat(self) -> Any:
        """A stream that has given its first event, and gives no more until the simulator is told to go on."""
        options = proveil.ClientOptions(
            base_url=self.about["base_url"],
            collateral_url=self.about["collateral_url"],
            trust_roots=proveil.TrustRoots.from_json(self.about["trust_roots"]),
            proxy="none",
        )
        body = {"model": "e2ee-sim-27b", "messages": [{"role": "user", "content": "What is remote attestation?"}]}
        self.command("hold 2")
        stream = await proveil.Client("venice", "test-key", options).chat(json.dumps(body).encode())
        self.assertEqual((await stream.next()).kind, proveil.EventKind.CONTENT)
        return stream

    async def assert_closed(self, stream: Any) -> None:
        """The connection is closed, and what is left of the answer is not given as if it were all."""
        await asyncio.to_thread(self.command, "abandoned")
        with self.assertRaises(case({"class": "MisuseError"})) as caught:
            while await stream.next() is not None:
                pass
        self.assertEqual(caught.exception.info.id(), proveil.Code.ALREADY_FINISHED)
        with self.assertRaises(case({"class": "MisuseError"})):
            stream.receipt()

    def run_loop(self, work: Callable[[Loop], Any]) -> None:
        loop = Loop()
        try:
            loop.run_until_complete(work(loop))
        finally:
            loop.close()

    def test_a_cancelled_next_closes_the_stream(self) -> None:
        async def work(loop: Loop) -> None:
            stream = await self.held_chat()
            task = loop.create_task(stream.next())
            await asyncio.sleep(0)  # the task runs on to where it waits
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await self.assert_closed(stream)

        self.run_loop(work)

    def test_a_next_that_is_cancelled_as_its_event_arrives(self) -> None:
        async def work(loop: Loop) -> None:
            stream = await self.held_chat()
            loop.forget()
            task = loop.create_task(stream.next())
            await asyncio.sleep(0)  # the task runs on to where it waits
            self.command("release")
            self.assertTrue(loop.is_woken())
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            with self.assertRaises(case({"class": "MisuseError"})) as caught:
                await stream.next()
            self.assertEqual(caught.exception.info.id(), proveil.Code.ALREADY_FINISHED)

        self.run_loop(work)

    def test_closing_ends_a_next_that_waits(self) -> None:
        async def work(loop: Loop) -> None:
            stream = await self.held_chat()
            task = loop.create_task(stream.next())
            await asyncio.sleep(0)
            stream.close()
            with self.assertRaises(case({"class": "MisuseError"})) as caught:
                await task
            self.assertEqual(caught.exception.info.id(), proveil.Code.CANCELLED)
            await self.assert_closed(stream)

        self.run_loop(work)


if __name__ == "__main__":
    unittest.main()
