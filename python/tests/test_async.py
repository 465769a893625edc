"""The asyncio form: the caller's own loop, cancellation, no thread per call."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import threading
from collections.abc import Callable

import proveil
import pytest
from conftest import WATCHDOG_S, Child, StalledServer, ended

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


def test_input_errors_come_before_anything_is_sent(stalled_server: StalledServer) -> None:
    async def main() -> None:
        with pytest.raises(proveil.InputError) as caught:
            await client(stalled_server.url).chat(model="e2ee-m", messages=[{"role": "user", "content": object()}])
        assert caught.value.slug == "malformed_request"

    asyncio.run(main())


def test_cancelling_ends_the_call(stalled_server: StalledServer) -> None:
    async def main() -> None:
        here = client(stalled_server.url)
        task = asyncio.create_task(here.models())
        await asyncio.to_thread(stalled_server.wait_arrived)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(stalled_server.wait_closed)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(here.verify("e2ee-m"), 0.1)

    asyncio.run(main())


def test_many_calls_need_no_threads(stalled_server: StalledServer) -> None:
    async def main() -> None:
        here = client(stalled_server.url)
        # The one thread that waits for the requests is started before threads are counted.
        arrived = asyncio.get_running_loop().run_in_executor(None, stalled_server.wait_arrived, 200)
        before = threading.active_count()
        tasks = [asyncio.create_task(here.models()) for _ in range(200)]
        await arrived
        assert threading.active_count() == before
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await asyncio.to_thread(stalled_server.wait_closed, 200)

    asyncio.run(main())


def test_the_loop_runs_on(stalled_server: StalledServer) -> None:
    async def main() -> None:
        task = asyncio.create_task(client(stalled_server.url).ready("e2ee-m"))
        await asyncio.to_thread(stalled_server.wait_arrived)
        # Only a loop that runs gets here, while nobody answers the call.
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_call_that_takes_too_long_is_an_error(stalled_server: StalledServer) -> None:
    with pytest.raises(proveil.IndeterminateError) as caught:
        asyncio.run(client(stalled_server.url, first_byte_s=1, verification_s=1).ready("e2ee-m"))
    assert caught.value.slug == "models_unreachable" and caught.value.retryable


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
        thread.join(WATCHDOG_S)
    assert len(found) == 4 and len(set(found)) == 1


def test_a_loop_that_ends_first(start_python: Callable[..., Child], stalled_server: StalledServer) -> None:
    program = """
import asyncio, sys, threading, proveil
refused = threading.Event()
class Loop(asyncio.SelectorEventLoop):
    def call_soon_threadsafe(self, *arguments, **options):
        try: return super().call_soon_threadsafe(*arguments, **options)
        except RuntimeError:
            refused.set()
            raise
client = proveil.AsyncClient(api_key='k', base_url=sys.argv[1], proxy=None)
async def leave():
    task = asyncio.ensure_future(client.models())
    await asyncio.to_thread(sys.stdin.readline)
    return task
loop = Loop()
task = loop.run_until_complete(leave())
loop.close()
print('closed', flush=True)
refused.wait()
print('alive')
"""
    child = start_python(program, stalled_server.url)
    assert child.stdin and child.stdout
    stalled_server.wait_arrived()
    child.stdin.write("leave\n")
    child.stdin.flush()
    assert child.stdout.readline() == "closed\n"
    stalled_server.hang_up()  # only now the call ends
    result = ended(child)
    assert (result.returncode, result.stdout) == (0, "alive\n")


@pytest.mark.parametrize("calls", [1, 8])
def test_the_interpreter_ends_right_after_a_call(
    run_python: Callable[..., subprocess.CompletedProcess[str]], calls: int
) -> None:
    """A runtime thread that is still waking the loop must not be inside Python when the interpreter goes (threats T62)."""
    program = """
import asyncio, os, sys, proveil
async def main():
    client = proveil.AsyncClient(api_key='k', base_url=sys.argv[1], proxy=None)
    async def call():
        try: await client.ready('')  # refused at once, without network
        except proveil.InputError: pass
    await asyncio.gather(*(call() for _ in range(int(sys.argv[2]))))
asyncio.run(main())
"""
    for _ in range(25):
        result = run_python(program, DEAD, str(calls))
        assert (result.returncode, result.stderr) == (0, "")


def test_dropping_everything_under_way(stalled_server: StalledServer) -> None:
    async def main() -> None:
        here = client(stalled_server.url)
        task = asyncio.create_task(here.models())
        await asyncio.to_thread(stalled_server.wait_arrived)
        task.cancel()
        del here
        gc.collect()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
