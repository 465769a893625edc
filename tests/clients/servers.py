"""Simulated providers, the proxy in front of each, and a relay that counts the requests of one case. Standard library only."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any

STARTED_WITHIN_S = 60
# Past any proxy of the network: all that is asked is on this machine.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Process:
    """A program of ours that prints one JSON document once it serves."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        # A program that never says where it serves is ended, which ends the reading below.
        timer = threading.Timer(STARTED_WITHIN_S, self.process.kill)
        timer.start()
        text = ""
        for line in self.process.stdout or ():
            text += line
            if line.rstrip() == "}":
                break
        timer.cancel()
        if not text:
            raise RuntimeError(f"{' '.join(arguments)} did not start: {log.read_text().strip()}")
        self.document: dict[str, Any] = json.loads(text)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


class Served:
    """One simulated provider, with one defect or none, behind a proxy of its own."""

    def __init__(self, proveil: Path, work: Path, provider: str, defect: str | None) -> None:
        name = f"{provider}-{defect or 'sound'}"
        home = work / name
        home.mkdir()
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "TMPDIR": str(home),
            "VENICE_API_KEY": "any",
            "PRIVATEMODE_API_KEY": "any",
        }
        defects = ["--defect", defect] if defect else []
        self.processes: list[Process] = []
        self.simulator = self.start(
            [str(proveil), "simulate", provider, *defects, "--json"], environment, home / "simulator.log"
        )
        said = self.simulator.document
        addresses = {
            "venice": [("--collateral-url", "collateral_url"), ("--nvidia-url", "nvidia_url")],
            "privatemode": [("--manifest-url", "base_url"), ("--amd-url", "kds_url")],
        }[provider]
        addresses = [
            ("--base-url", "base_url"), ("--trust-roots", "trust_roots_file"), *addresses
        ]
        flags = [part for flag, member in addresses for part in (flag, said[member])]
        proxy = [str(proveil), "proxy", "--provider", provider, "--listen", "127.0.0.1:0", "--json", *flags]
        self.url: str = self.start(proxy, environment, home / "proxy.log").document["url"]

    def start(self, arguments: list[str], environment: dict[str, str], log: Path) -> Process:
        try:
            self.processes.append(Process(arguments, environment, log))
        except BaseException:
            self.end()
            raise
        return self.processes[-1]

    def requests(self) -> int:
        """What the proxy itself has counted, without the question for it."""
        with direct.open(self.url + "/metrics") as answer:
            text = answer.read().decode()
        rows = re.findall(r'^proveil_requests_total\{([^}]*)\} (\d+)$', text, re.MULTILINE)
        return sum(int(count) for labels, count in rows if 'route="metrics"' not in labels)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.end()


class Relay:
    """Passes bytes on to a server and counts the requests among them."""

    END_OF_FIRST_LINE = b" HTTP/1.1\r\n"

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self.target = (host, int(port))
        self.requests = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for ends, counts in (((caller, server), True), ((server, caller), False)):
                threading.Thread(target=self.copy, args=(*ends, counts), daemon=True).start()

    def copy(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        kept = b""
        try:
            while data := source.recv(65536):
                if counts:
                    # Nothing that the cases send has these bytes in its body.
                    text = kept + data
                    with self.lock:
                        self.requests += text.count(self.END_OF_FIRST_LINE)
                    kept = text[1 - len(self.END_OF_FIRST_LINE) :]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # Either side went away; the other learns it.
            for end in (source, sink):
                end.close()

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """For logs, caches and roots; gone afterwards."""
    return tempfile.TemporaryDirectory(prefix="proveil-clients-")
