"""Privatemode over the UniFFI interface, against its simulator. `cargo xtask test-uniffi` runs it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from test_surface import ROOT, Error, case, content, proveil, send


class Privatemode(unittest.TestCase):
    """Against the simulated Privatemode: `target/debug/examples/serve_privatemode`."""

    EMBED = json.dumps({"model": "sim-embedding-4b", "input": ["canary-9d07", "two"], "dimensions": 8}).encode()
    CHAT = {"model": "sim-kimi-2", "messages": [{"role": "user", "content": "What is remote attestation? canary-9d07"}]}

    @classmethod
    def setUpClass(cls) -> None:
        program = ROOT / "target/debug/examples/serve_privatemode"
        cls.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.about = json.loads(cls.process.stdout.readline())
        cls.roots = proveil.TrustRoots.from_json(cls.about["trust_roots"])

    @classmethod
    def tearDownClass(cls) -> None:
        cls.process.communicate()

    def command(self, text: str) -> dict[str, Any]:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def setUp(self) -> None:
        self.command("defects")
        self.command("clear")

    def options(self, **more: Any) -> dict[str, Any]:
        names = ("base_url", "manifest_url", "amd_url")
        return {**{name: self.about[name] for name in names}, "trust_roots": self.roots, **more}

    def client(self, **more: Any) -> proveil.Client:
        return proveil.Client("privatemode", "test-key", proveil.ClientOptions(proxy="none", **self.options(**more)))

    async def events(self, client: proveil.Client, path: str | None, **more: Any) -> list[proveil.Event]:
        body = json.dumps({**self.CHAT, **more}).encode()
        stream = await (client.chat(body) if path is None else client.send(path, body))
        events = []
        while (event := await stream.next()) is not None:
            events.append(event)
        return events

    def test_every_endpoint(self) -> None:
        async def main() -> None:
            client = self.client()
            self.assertIn("sim-kimi-2", await client.models_json())
            for streamed in (False, True):
                events = await self.events(client, None, stream=streamed)
                self.assertIn("remote attestation", content(events))
            whole = await self.events(client, "/v1/messages", max_tokens=64)
            self.assertEqual([event.kind for event in whole], [proveil.EventKind.DOCUMENT])
            self.assertTrue(json.loads(whole[0].text)["content"])
            parts = await self.events(client, "/v1/messages", max_tokens=64, stream=True)
            self.assertGreater(len(parts), 3)
            self.assertEqual([part.name for part in parts], [json.loads(part.text)["type"] for part in parts])
            self.assertEqual(len(json.loads(await client.embeddings(self.EMBED))["data"]), 2)
            recording = b"RIFF\x24\x03\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\x20\x03\0\0" + b"\x80" * 800
            form = (
                b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai/sim-whisper-3\r\n'
                b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
                + recording + b"\r\n--edge--\r\n"
            )
            heard = json.loads(await client.transcriptions(form, "multipart/form-data; boundary=edge"))["text"]
            checksum = hashlib.sha256(recording).hexdigest()[:16]
            self.assertEqual(heard, f"A recording of 844 bytes with the checksum {checksum}.")
            with self.assertRaises(case({"class": "InputError"})) as caught:
                await client.send("/v1/files", b"{}")
            self.assertEqual(caught.exception.info.id(), proveil.Code.UNSUPPORTED_ENDPOINT)

        asyncio.run(main())
        self.assertFalse(self.command("saw canary-9d07")["saw"])

    def test_refusals_and_broken_answers(self) -> None:
        cases = (
            ("report-tampered", "snp_signature"),
            ("manifest-other", "manifest_mismatch"),
            ("stream-cut", "truncated"),
            ("clear-content", "not_ciphertext"),
        )
        for defect, slug in cases:
            self.command(f"defects {defect}")
            for path in (None, "/v1/chat/completions"):
                with self.assertRaises(Error) as caught:
                    asyncio.run(self.events(self.client(), path, stream=True))
                self.assertEqual(caught.exception.info.slug(), slug)

    def test_log_of_manifests(self) -> None:
        with tempfile.TemporaryDirectory() as workspace:
            asyncio.run(self.client(workspace=workspace).verify("sim-kimi-2"))
            kept = Path(workspace, "manifests", "1.json").read_bytes()
        self.assertEqual(kept, self.about["manifest"].encode())

    def test_settings(self) -> None:
        manifest = self.about["manifest"].encode()
        cases = (
            ({"manifest": manifest}, proveil.Verdict.VERIFIED),
            ({"manifest": manifest + b" "}, proveil.Verdict.REFUSED),
            ({"key_service_name": "elsewhere.example"}, proveil.Verdict.REFUSED),
        )
        for given, verdict in cases:
            self.assertEqual(asyncio.run(self.client(**given).verify("sim-kimi-2")).verdict(), verdict)
        with self.assertRaises(Error) as caught:
            self.client(cache_salt=proveil.CacheSalt("short"))
        self.assertEqual(caught.exception.info.id(), proveil.Code.CACHE_SALT)
        salt = proveil.CacheSalt("canary-salt-of-thirty-two-bytes-!")
        self.assertNotIn("canary", repr(proveil.ClientOptions(cache_salt=salt)))
        self.command("defects gpu-revoked")
        lenient = self.client(cache_salt=salt, gpu_revocation_grace_s=4 * 10**9)
        self.assertTrue(content(asyncio.run(self.events(lenient, None))))

    def test_own_transport(self) -> None:
        options = proveil.ExchangeOptions(**self.options(manifest=self.about["manifest"].encode()))
        exchange = proveil.Exchange("privatemode", "sim-embedding-4b", "test-key", options)
        while (step := exchange.next()).is_send():
            exchange.feed(*send(step.request))
        endpoint = step.outcome.endpoint()
        sealed = endpoint.seal_request("/v1/embeddings", self.EMBED)
        self.assertNotIn(b"canary", sealed.sealed.request().body())
        status, headers, body = send(sealed.sealed.request())
        sealed.opener.head(status, headers)
        events = sealed.opener.push(body)
        events += sealed.opener.finish().events()
        self.assertEqual([event.kind for event in events], [proveil.EventKind.DOCUMENT])
        with self.assertRaises(case({"class": "IndeterminateError"})):
            endpoint.seal_request("/v1/embeddings", self.EMBED, at=endpoint.not_after())


if __name__ == "__main__":
    unittest.main()
