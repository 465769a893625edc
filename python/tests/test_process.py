"""Forks, signals, threads and the interpreter's end (threats T62, T63)."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import proveil
import pytest
from conftest import WATCHDOG_S, Child, StalledServer, ended

Start = Callable[..., Child]
Run = Callable[..., subprocess.CompletedProcess[str]]
needs_fork = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")

# A dead port: the connection is refused at once.
DEAD = "http://127.0.0.1:9/api/v1"


@needs_fork
def test_a_forked_child_works_afresh(run_python: Run) -> None:
    program = """
import os, sys, proveil
client = proveil.Client(api_key='k', base_url=sys.argv[1], proxy=None)
def slug():
    try: client.models()
    except proveil.ProveilError as error: return error.slug
first = slug()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        again = slug()
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if slug() == first else 1)
        worst = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        os._exit(0 if again == first and worst == 0 else 1)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(first, codes, slug())
"""
    result = run_python(program, DEAD)
    assert result.stdout.split(maxsplit=1)[1:] == [f"[0, 0, 0] {result.stdout.split()[0]}\n"], result
    assert result.stdout.split()[0] in ("models_unreachable", "connection_failed")


@needs_fork
def test_a_fork_during_a_call_does_not_hang(start_python: Start, stalled_server: StalledServer) -> None:
    program = """
import os, sys, threading, proveil
client = proveil.Client(api_key='k', base_url=sys.argv[1], proxy=None)
def stuck():
    try: client.models()
    except proveil.ProveilError: pass
threading.Thread(target=stuck, daemon=True).start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    other = proveil.Client(api_key='k', base_url=sys.argv[2], proxy=None)
    try: other.models()
    except proveil.ProveilError as error: os._exit(0 if error.retryable else 2)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    child = start_python(program, stalled_server.url, DEAD)
    stalled_server.wait_arrived()
    result = ended(child, "fork\n")
    assert result.stdout == "0\n", result


@needs_fork
def test_a_child_never_repeats_its_parents_randomness(run_python: Run) -> None:
    """Threats T29: the same sealing in parent and child gives different ciphertexts."""
    program = """
import os, sys, proveil
key = sys.argv[1]
proveil.seal_field(key, 'x')
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, proveil.seal_field(key, 'x').encode())
    os._exit(0)
os.wait()
print(os.read(reader, 4096).decode() != proveil.seal_field(key, 'x'))
"""
    from conftest import vectors

    public = vectors("fields_ecdsa")["s2c-ascii"]["recipient_public_key"]
    assert run_python(program, public).stdout == "True\n"


@needs_fork
def test_multiprocessing_takes_a_config(run_python: Run) -> None:
    program = """
import sys, multiprocessing, proveil
def work(config):
    with proveil.Client(config) as client:
        try: client.models()
        except proveil.ProveilError as error: return error.slug
if __name__ == '__main__':
    config = proveil.Config(api_key='k', base_url=sys.argv[1], proxy=None)
    with multiprocessing.get_context('fork').Pool(2) as pool:
        print(len(pool.map(work, [config] * 4)))
"""
    assert run_python(program, DEAD).stdout == "4\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("call", ["client.models()", "client.verify('e2ee-m')", "client.chat(model='e2ee-m', messages=[])"])
def test_ctrl_c_ends_a_blocked_call(start_python: Start, stalled_server: StalledServer, call: str) -> None:
    program = f"""
import signal, sys, proveil
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
client = proveil.Client(api_key='k', base_url=sys.argv[1], proxy=None)
try: {call}
except KeyboardInterrupt:
    print('interrupted', flush=True)
    sys.stdin.readline()
"""
    child = start_python(program, stalled_server.url)
    stalled_server.wait_arrived()
    child.send_signal(signal.SIGINT)
    assert child.stdout and child.stdout.readline() == "interrupted\n"
    stalled_server.wait_closed()  # while the process lives on
    assert ended(child, "end\n").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_handlers_run_during_a_blocked_call(start_python: Start, stalled_server: StalledServer) -> None:
    program = """
import signal, sys, proveil
class Stop(Exception): pass
def stop(number, frame): raise Stop
signal.signal(signal.SIGUSR1, stop)
client = proveil.Client(api_key='k', base_url=sys.argv[1], proxy=None)
try: client.models()
except Stop: print('stopped')
"""
    child = start_python(program, stalled_server.url)
    stalled_server.wait_arrived()
    child.send_signal(signal.SIGUSR1)
    assert ended(child).stdout == "stopped\n"


def test_the_interpreter_lock_is_free_while_a_call_waits(stalled_server: StalledServer) -> None:
    client = proveil.Client(api_key="k", base_url=stalled_server.url, proxy=None)
    slugs: list[str] = []

    def call() -> None:
        try:
            client.models()
        except proveil.IndeterminateError as error:
            slugs.append(error.slug)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    # The server is a thread of this interpreter: it takes the four requests only while the lock is free.
    stalled_server.wait_arrived(4)
    assert not slugs and all(thread.is_alive() for thread in threads)
    stalled_server.hang_up()
    for thread in threads:
        thread.join(WATCHDOG_S)
    assert slugs == ["models_unreachable"] * 4


def test_the_interpreter_ends_with_calls_under_way(start_python: Start, stalled_server: StalledServer) -> None:
    program = """
import sys, threading, proveil
client = proveil.Client(api_key='k', base_url=sys.argv[1], proxy=None)
def stuck():
    client.models()
for _ in range(3): threading.Thread(target=stuck, daemon=True).start()
sys.stdin.readline()
print('ending')
"""
    child = start_python(program, stalled_server.url)
    stalled_server.wait_arrived(3)
    result = ended(child, "end\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "ending\n", "")


def test_closed_clients_say_so() -> None:
    client = proveil.Client(api_key="k", base_url=DEAD, proxy=None)
    with client:
        pass
    client.close()
    with pytest.raises(proveil.MisuseError) as caught:
        client.models()
    assert caught.value.slug == "already_finished"


