"""The asyncio form: the caller's own loop, cancellation, no thread per call."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import threading
import time
from collections.abc import Callable

import proveil
import pytest

DEAD = "http://127.0.0.1:9/api/v1"


def client(url: str, **timeouts: int) -> proveil.AsyncClient:
    return proveil.AsyncClient(api_key="k", base_url=url, proxy=None, timeouts=proveil.Timeouts(**timeouts))


def test_errors_arrive() -> None:
    async def main() -> None:
        async with client(DEAD) as here:
            for call in (here.models(), here.ready("e2ee-m"), here.chat(model="e2ee-m", messages=[{"role": "user", "content": "x"}])):
                with pytest.raises(proveil.ProveilError) as caught:
                    await call
                assert caught.value.retryable
        with pytest.raises(proveil.MisuseError):
            await here.models()

    asyncio.run(main())


def test_input_errors_come_before_anything_is_sent(stalled_server: str) -> None:
    async def main() -> None:
        with pytest.raises(proveil.InputError) as caught:
            await client(stalled_server).chat(model="e2ee-m", messages=[{"role": "user", "content": object()}])
        assert caught.value.slug == "malformed_request"

    asyncio.run(asyncio.wait_for(main(), 10))


def test_cancelling_ends_the_call(stalled_server: str) -> None:
    async def main() -> None:
        here = client(stalled_server)
        task = asyncio.create_task(here.models())
        await asyncio.sleep(0.1)
        task.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(here.verify("e2ee-m"), 0.1)

    asyncio.run(main())


def test_many_calls_need_no_threads(stalled_server: str) -> None:
    async def main() -> None:
        here = client(stalled_server)
        before = threading.active_count()
        tasks = [asyncio.create_task(here.models()) for _ in range(200)]
        await asyncio.sleep(0.2)
        assert threading.active_count() == before
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(main())


def test_the_loop_runs_on(stalled_server: str) -> None:
    async def main() -> None:
        here = client(stalled_server, first_byte_s=1, verification_s=1)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticker = asyncio.create_task(tick())
        with pytest.raises(proveil.IndeterminateError):
            await here.ready("e2ee-m")
        ticker.cancel()
        assert ticks > 20

    asyncio.run(main())


def test_loops_one_after_the_other_and_in_threads() -> None:
    here = client(DEAD)

    async def slug() -> str:
        try:
            await here.models()
        except proveil.ProveilError as error:
            return error.slug
        return ""

    assert len({asyncio.run(slug()) for _ in range(3)}) == 1
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(asyncio.run(slug()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 4 and len(set(found)) == 1


def test_a_loop_that_ends_first(run_python: Callable[..., subprocess.CompletedProcess[str]], stalled_server: str) -> None:
    program = """
import asyncio, sys, time, proveil
client = proveil.AsyncClient(api_key='k', base_url=sys.argv[1], proxy=None, timeouts=proveil.Timeouts(first_byte_s=1, verification_s=1))
async def leave():
    task = asyncio.ensure_future(client.models())
    await asyncio.sleep(0.1)
    return task
loop = asyncio.new_event_loop()
task = loop.run_until_complete(leave())
loop.close()
time.sleep(1.5)
task.cancel = None
print('alive')
"""
    result = run_python(program.replace("task.cancel = None\n", ""), stalled_server)
    assert (result.returncode, result.stdout) == (0, "alive\n")


def test_dropping_everything_under_way(stalled_server: str) -> None:
    async def main() -> None:
        here = client(stalled_server)
        task = asyncio.create_task(here.models())
        await asyncio.sleep(0.05)
        task.cancel()
        del here
        gc.collect()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
