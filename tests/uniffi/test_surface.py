"""The UniFFI interface through its Python output, which stands in for Kotlin and Swift. `cargo xtask test-uniffi` runs it.

Only the standard library is used. The simulated provider is `target/debug/examples/serve`, which that command builds.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "target" / "uniffi"
sys.path.insert(0, str(GENERATED / "python"))

import proveil_uniffi as proveil  # noqa: E402

Error = proveil.ProveilError
EVENT_STREAM = [proveil.ResponseHeader(name="Content-Type", value="text/event-stream")]
AT = 1_781_056_027


def vectors(name: str) -> dict[str, Any]:
    document = json.loads((ROOT / "tests/vectors/venice" / f"{name}.json").read_text(encoding="utf-8"))
    return {case["id"]: case for case in document["cases"]}


def pieces(case: dict[str, Any]) -> list[bytes]:
    return [b64decode(piece) for piece in case["chunks_b64"]]


def open_case(case: dict[str, Any]) -> proveil.Opener:
    opener = proveil.opener_for_key(
        bytes.fromhex(case["client_private_key"]), case["policy"] == "allow_whitespace_plaintext"
    )
    opener.head(case["http_status"], [proveil.ResponseHeader(name="content-type", value=case["content_type"])])
    return opener


def content(events: list[proveil.Event]) -> str:
    return "".join(event.text for event in events if event.kind == proveil.EventKind.CONTENT)


class Errors(unittest.TestCase):
    def rows(self) -> list[dict[str, Any]]:
        document = json.loads((ROOT / "tests/vectors/errors.json").read_text(encoding="utf-8"))
        return document if isinstance(document, list) else document["cases"]

    def test_every_code_of_the_registry_is_a_case(self) -> None:
        names = [code.name.replace("_", "") for code in proveil.Code]
        slugs = [row["slug"].replace("_", "").upper() for row in self.rows()]
        self.assertEqual(names, slugs)

    def test_every_class_is_a_case(self) -> None:
        for row in self.rows():
            self.assertTrue(issubclass(case(row), Error), row["class"])

    def test_an_error_has_every_field(self) -> None:
        with self.assertRaises(case({"class": "ConfigError"})) as caught:
            proveil.Policy.from_json('{"schema":"proveil.policy/v1","sofware":{}}')
        info = caught.exception.info
        row = next(row for row in self.rows() if row["slug"] == info.slug())
        self.assertEqual(
            [info.code(), info.number(), info.slug(), info.hint(), info.retryable()],
            [row["code"], row["number"], row["slug"], row["hint"], row["retryable"]],
        )
        self.assertTrue(info.message().startswith(row["message"]))
        self.assertEqual(info.id(), proveil.Code.POLICY_INVALID)
        self.assertEqual((info.details().check, info.details().found), ("sofware", "sofware"))
        self.assertEqual((info.report(), info.events()), (None, []))
        self.assertIn(row["code"], str(caught.exception))

    def test_a_panic_is_an_internal_error_without_its_text(self) -> None:
        async def wait() -> None:
            await proveil.test_panic_async()

        for call in (proveil.test_panic, lambda: asyncio.run(wait())):
            with self.assertRaises(case({"class": "InternalError"})) as caught:
                call()
            self.assertEqual(caught.exception.info.code(), "PV-902")
            self.assertNotIn("canary", repr(caught.exception) + caught.exception.info.message())

    def test_a_panic_prints_nothing(self) -> None:
        program = f"import sys; sys.path.insert(0, {str(GENERATED / 'python')!r}); import proveil_uniffi as p\ntry: p.test_panic()\nexcept p.ProveilError: print('alive')"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "alive\n", ""))


def case(row: dict[str, Any]) -> type[Exception]:
    """The exception of an error class: `ConfigError` is `ProveilError.Config`."""
    return getattr(Error, row["class"].removesuffix("Error"))


class Surface(unittest.TestCase):
    def test_nothing_but_a_verification_makes_a_proof(self) -> None:
        for name in (
            "VerifiedEndpoint SealedRequest HttpRequest Header VerificationOutcome Opener Receipt Report Stream ErrorInfo"
        ).split():
            with self.assertRaises(Exception, msg=name):
                getattr(proveil, name)()

    def test_nothing_prints_an_api_key(self) -> None:
        exchange = proveil.Exchange("venice", "e2ee-m", "canary-key-51aa")
        request = exchange.next(AT).request
        headers = request.headers()
        self.assertTrue(any("canary" in header.value() and header.is_sensitive() for header in headers))
        client = proveil.Client("venice", "canary-key-51aa")
        for value in (exchange, request, headers, client, vars(exchange), vars(request)):
            self.assertNotIn("canary", f"{value!r}{value!s}")

    def test_policies(self) -> None:
        standard, strict = proveil.Policy.standard(), proveil.Policy.strict()
        self.assertEqual((standard.name(), strict.name()), ("standard", "strict"))
        self.assertNotEqual(standard.sha256(), strict.sha256())
        self.assertEqual(proveil.Policy.from_json(standard.to_json()).sha256(), standard.sha256())
        with self.assertRaises(Error) as caught:
            proveil.TrustRoots.from_json("{}")
        self.assertEqual(caught.exception.info.slug(), "trust_roots_invalid")

    def test_version_and_names(self) -> None:
        cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
        self.assertIn(f'version = "{proveil.version()}"', cargo.split("[workspace.package]")[1].split("[")[0])
        self.assertEqual(proveil.providers(), ["venice", "privatemode"])
        self.assertIn("venice.key", proveil.inspect_kinds())

    def test_kotlin_and_swift_have_the_same_names(self) -> None:
        kotlin = (GENERATED / "kotlin/proveil/proveil_uniffi.kt").read_text(encoding="utf-8")
        swift = (GENERATED / "swift/Proveil.swift").read_text(encoding="utf-8")
        for name in "Policy TrustRoots Report VerifiedEndpoint Exchange HttpRequest SealedRequest Opener Client Stream ErrorInfo".split():
            self.assertIn(f"class {name}", kotlin)
            self.assertIn(f"class {name}", swift)
        for signature in ("suspend fun `next`(): Event?", "suspend fun `verify`(`model`: kotlin.String): Report", "fun `pushText`("):
            self.assertIn(signature, kotlin)
        for signature in ("func next() async throws", "func verify(model: String) async throws", "func pushText("):
            self.assertIn(signature, swift)


class Opening(unittest.TestCase):
    def test_any_cut_gives_the_same(self) -> None:
        basic = vectors("sse")["basic"]
        body = b"".join(pieces(basic))
        for size in (len(body), 1, 7, 100):
            opener = open_case(basic)
            events = [event for at in range(0, len(body), size) for event in opener.push(body[at : at + size])]
            receipt = opener.finish()
            self.assertEqual(content(events + receipt.events()), "Hello, world")
            self.assertEqual((receipt.body_bytes() > 0, len(receipt.response_sha256())), (True, 64))

    def test_errors_bring_what_came_before(self) -> None:
        for name, slug, kind, before in (
            ("bad-tag-mid-stream", "auth_failed", "IntegrityError", "ok "),
            ("plaintext-injected", "plaintext_downgrade", "IntegrityError", "secret "),
            ("truncated-no-done", "truncated", "ProtocolError", "cutoff"),
        ):
            one = vectors("sse")[name]
            opener, text = open_case(one), ""
            with self.assertRaises(case({"class": kind})) as caught:
                text += content(opener.push(b"".join(pieces(one))))
                opener.finish()
            info = caught.exception.info
            self.assertEqual((info.slug(), text + content(info.events())), (slug, before))
            self.assertNotIn(before, str(caught.exception) + repr(caught.exception), "errors never print plaintext")
            with self.assertRaises(case({"class": "MisuseError"})):
                opener.push(b"")

    def test_push_text_and_close(self) -> None:
        one = vectors("sse")["reasoning-content"]
        opener = open_case(one)
        texts = opener.push_text(b"".join(pieces(one)))
        opener.finish()
        self.assertEqual("".join(texts), content(open_case(one).push(b"".join(pieces(one)))))
        opener.close()
        with self.assertRaises(Error) as caught:
            opener.finish()
        self.assertEqual(caught.exception.info.slug(), "already_finished")

    def test_fields_both_ways(self) -> None:
        one = vectors("fields_ecdsa")["s2c-ascii"]
        key, public = bytes.fromhex(one["recipient_private_key"]), bytes.fromhex(one["recipient_public_key"])
        self.assertEqual(proveil.open_field(key, one["field_hex"]), one["plaintext"])
        self.assertEqual(proveil.open_field(key, proveil.seal_field(public, b"x")), "x")
        for bad in (b"", bytes(32), b"\xff" * 32, b"\x01" * 33):
            with self.assertRaises(Error) as caught:
                proveil.open_field(bad, one["field_hex"])
            self.assertIn(caught.exception.info.slug(), ("invalid_argument", "key_invalid"))

    def test_two_threads_on_one_opener(self) -> None:
        """Use from two threads at once is `busy` or in turn, never a crash or wrong text (threats T62)."""
        basic = vectors("sse")["basic"]
        body = b"".join(pieces(basic))
        for _ in range(20):
            opener, start, seen = open_case(basic), threading.Barrier(2), []

            def push(opener: Any = opener, start: Any = start, seen: Any = seen) -> None:
                start.wait()
                try:
                    seen.append(content(opener.push(body)))
                except Error as error:
                    seen.append(error.info.slug())

            threads = [threading.Thread(target=push) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertTrue("Hello, world" in seen and len(seen) == 2, seen)

    def test_memory_is_flat(self) -> None:
        basic = vectors("sse")["basic"]
        body = b"".join(pieces(basic))

        def rounds(count: int) -> int:
            for _ in range(count):
                opener = open_case(basic)
                opener.push(body)
                opener.finish()
                exchange = proveil.Exchange("venice", "e2ee-m", "k")
                exchange.next(AT)
                exchange.fail(proveil.TransportFailure.CONNECT)
                with self.assertRaises(Error):
                    proveil.open_field(b"", "")
            gc.collect()
            statm = Path("/proc/self/statm")
            return int(statm.read_text().split()[1]) if statm.exists() else 0

        rounds(1000)
        before, after = rounds(2000), rounds(8000)
        self.assertLessEqual(after, before * 1.05)


class Bundles(unittest.TestCase):
    """The table of forged evidence bundles, which every language judges."""

    FOLDER = ROOT / "tests/evidence/bundles"
    INDEX = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))

    def read(self, name: str) -> tuple[proveil.EvidenceBundle, dict[str, Any]]:
        text = (self.FOLDER / f"{name}.json").read_text(encoding="utf-8")
        return proveil.EvidenceBundle.from_json(text), json.loads(text)

    def test_the_table(self) -> None:
        for one in self.INDEX["cases"]:
            with self.subTest(one["id"]):
                bundle, document = self.read(one["id"])
                self.assertEqual((bundle.kind(), bundle.at()), (one["kind"], one["at"]))
                self.assertEqual(json.loads(bundle.to_json()), document)
                report = bundle.appraise(trust_roots=bundle.custom_roots())
                self.assertEqual(
                    (report.verdict().name.lower(), report.level(), report.code()),
                    (one["verdict"], one["level"], one["code"]),
                )
                # Roots that a document names vouch for nothing by themselves (threats T68).
                self.assertEqual(bundle.appraise().verdict(), proveil.Verdict.REFUSED)

    def test_malformed_documents(self) -> None:
        for one in self.INDEX["malformed"]:
            with self.subTest(one["id"]), self.assertRaises(Error) as caught:
                proveil.EvidenceBundle.from_json(one["text"])
            self.assertIn(one["code"], str(caught.exception))

    def test_bare_evidence(self) -> None:
        bundle, document = self.read("tdx-honest")
        given = document["tdx"]
        files = [json.dumps(given["collateral"][0]).encode(), b64decode(given["quote"])]
        rules = {"trust_roots": bundle.custom_roots(), "at": document["at"]}
        expected = {name: bytes.fromhex(value) for name, value in given["expected"].items()}
        made = proveil.EvidenceBundle.tdx(files, proveil.HardwareOptions(**expected, **rules))
        self.assertEqual((made.to_json(), made.appraise().level()), (bundle.to_json(), "L3"))
        wrong = proveil.EvidenceBundle.tdx(files, proveil.HardwareOptions(rtmr2=bytes(48), **rules))
        self.assertEqual(wrong.appraise().code(), "PV-260")
        self.assertEqual(made.policy().name(), "standard")
        with self.assertRaises(Error):
            proveil.EvidenceBundle.tdx(files, proveil.HardwareOptions(measurement=bytes(48)))

        bundle, document = self.read("snp-honest")
        files = [b64decode(document["snp"][name]) for name in ("crl", "report", "vcek", "root", "issuer")]
        options = proveil.HardwareOptions(trust_roots=bundle.custom_roots(), at=document["at"])
        self.assertEqual(proveil.EvidenceBundle.snp(files, options).appraise().verdict(), proveil.Verdict.VERIFIED)

        bundle, document = self.read("nvidia-honest")
        given = document["nvidia"]
        files = [b64decode(device[name]) for device in given["devices"] for name in ("report", "chain")]
        options = proveil.HardwareOptions(trust_roots=bundle.custom_roots(), at=document["at"])
        gpus = proveil.EvidenceBundle.nvidia(files, bytes.fromhex(given["nonce"]), options)
        self.assertEqual(gpus.appraise().verdict(), proveil.Verdict.VERIFIED)
        with self.assertRaises(Error):
            proveil.EvidenceBundle.nvidia(files, b"short")


class Simulated(unittest.TestCase):
    """Whole conversations with the simulated provider."""

    process: subprocess.Popen[str]
    about: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        program = ROOT / "target/debug/examples/serve"
        cls.process = subprocess.Popen(
            [program, "--exact-signatures"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        cls.about = cls.answer()
        cls.model = next(model for model in cls.about["models"] if model.startswith("e2ee-"))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.process.communicate()

    @classmethod
    def answer(cls) -> Any:
        assert cls.process.stdout
        return json.loads(cls.process.stdout.readline())

    def command(self, text: str) -> Any:
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.answer()

    def setUp(self) -> None:
        self.command("defects")
        self.command("clear")
        self.roots = proveil.TrustRoots.from_json(self.about["trust_roots"])

    def client(self) -> proveil.Client:
        options = proveil.ClientOptions(
            base_url=self.about["base_url"], collateral_url=self.about["collateral_url"], trust_roots=self.roots
        )
        return proveil.Client("venice", "test-key", options)

    def body(self) -> bytes:
        return json.dumps({"model": self.model, "messages": [{"role": "user", "content": "canary prompt 77c1"}]}).encode()

    def test_verification_and_chat(self) -> None:
        async def run() -> tuple[Any, list[Any], Any, Any]:
            client = self.client()
            self.assertIn(self.model, await client.models_json())
            report = await client.verify(self.model)
            stream = await client.chat(self.body())
            events = []
            while (event := await stream.next()) is not None:
                events.append(event)
            return report, events, stream.receipt(), await stream.verify_signature()

        report, events, receipt, verdict = asyncio.run(run())
        self.assertEqual((report.verdict(), report.model()), (proveil.Verdict.VERIFIED, self.model))
        self.assertIn("CUSTOM", report.headline())
        self.assertGreater(len(report.checks()), 10)
        self.assertEqual(json.loads(report.to_json())["verdict"], "verified")
        self.assertTrue(report.to_html().startswith("<!DOCTYPE html>") and report.to_svg().startswith("<svg "))
        self.assertEqual(json.loads(report.to_ear_json())["ear_status"], "contraindicated")  # custom roots
        self.assertGreater(len(content(events)), 10)
        self.assertGreater(receipt.sealed_fields(), 0)
        self.assertEqual(verdict, proveil.SignatureVerdict.BODY_MATCHES)
        self.assertFalse(self.command("saw canary prompt 77c1")["saw"])

    def test_a_refusal_has_its_class_code_and_report_and_sends_nothing(self) -> None:
        self.assertEqual(self.command("defects key-swap"), {})
        with self.assertRaises(case({"class": "VerificationError"})) as caught:
            asyncio.run(self.client_chat())
        info = caught.exception.info
        self.assertEqual(info.id(), proveil.Code.REPORT_DATA_IDENTITY_MISMATCH)
        self.assertEqual(json.loads(info.report())["verdict"], "refused")
        self.assertEqual(self.command("recorded")["prompts"], [])

    def test_pinned_software(self) -> None:
        """T27, T59: other software than the pinned one is refused with the difference; a broken file is not an empty one."""
        values = {"tdx.mr_td": "aa"}
        digest = hashlib.sha256(json.dumps({"events": [], "values": values}, separators=(",", ":")).encode()).hexdigest()
        pin = {"provider": "venice", "model": self.model, "base_url": self.about["base_url"], "roots": "custom", "pinned_at": 7}
        pin |= {"sha256": digest, "values": values, "events": [], "compose": None}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pins.json"
            options = proveil.ClientOptions(
                base_url=self.about["base_url"],
                collateral_url=self.about["collateral_url"],
                trust_roots=self.roots,
                pins=str(file),
            )
            client = proveil.Client("venice", "test-key", options)

            async def verify() -> Any:
                return await client.verify(self.model)

            self.assertEqual(asyncio.run(verify()).verdict(), proveil.Verdict.VERIFIED, "nothing is pinned")
            file.write_text(json.dumps({"schema": "proveil.pins/v1", "pins": [pin]}))
            file.chmod(0o600)
            report = asyncio.run(verify())
            self.assertEqual((report.verdict(), report.code()), (proveil.Verdict.REFUSED, "PV-263"))
            self.assertIn("MRTD: pinned `aa`, now ", report.to_json())
            file.write_text("{")
            with self.assertRaises(case({"class": "ConfigError"})) as caught:
                asyncio.run(verify())
            self.assertEqual(caught.exception.info.id(), proveil.Code.PINS_INVALID)

    def test_nothing_to_judge_is_an_error_and_no_report(self) -> None:
        options = proveil.ClientOptions(base_url="http://127.0.0.1:1/api/v1", proxy="none")
        with self.assertRaises(case({"class": "IndeterminateError"})) as caught:
            asyncio.run(proveil.Client("venice", "k", options).verify(self.model))
        self.assertEqual(caught.exception.info.id(), proveil.Code.MODELS_UNREACHABLE)

    async def client_chat(self) -> None:
        await self.client().chat(self.body())

    def test_own_transport_and_offline_judgement(self) -> None:
        options = proveil.ExchangeOptions(
            base_url=self.about["base_url"], collateral_url=self.about["collateral_url"], trust_roots=self.roots
        )
        exchange = proveil.Exchange("venice", self.model, "test-key", options)
        while (step := exchange.next()).is_send():
            exchange.feed(*send(step.request))
        endpoint = step.outcome.endpoint()
        sealed = endpoint.seal(self.body())
        self.assertNotIn(b"canary", sealed.sealed.request().body())
        status, headers, body = send(sealed.sealed.request())
        sealed.opener.head(status, headers)
        self.assertGreater(len(content(sealed.opener.push(body))), 10)
        receipt = sealed.opener.finish()
        signature = send(endpoint.signature_request(receipt))
        self.assertEqual(endpoint.check_signature(receipt, *signature), proveil.SignatureVerdict.BODY_MATCHES)
        with self.assertRaises(case({"class": "IndeterminateError"})):
            endpoint.seal(self.body(), endpoint.not_after())

        evidence, at = exchange.evidence(), step.outcome.report().checked_at()
        for nonce, verdict in ((evidence.nonce, proveil.Verdict.VERIFIED), (bytes(32), proveil.Verdict.REFUSED)):
            report = proveil.verify_evidence(
                "venice", evidence.response, nonce, exchange.fetched_collateral(), at, self.model, None, self.roots
            )
            self.assertEqual(report.verdict(), verdict)

    def test_nvidia_is_asked_what_the_policy_requires(self) -> None:
        rules = '{"schema":"proveil.policy/v1","gpu":{"require_rim":true,"require_ocsp":true,"nras":"required"}}'
        said: list[str] = []
        for asked in (11, 1):
            options = proveil.ExchangeOptions(
                base_url=self.about["base_url"],
                collateral_url=self.about["collateral_url"],
                nvidia_url=self.about["nvidia_url"],
                policy=proveil.Policy.from_json(rules),
                trust_roots=self.roots,
                endorsements=said,
            )
            exchange = proveil.Exchange("venice", self.model, "test-key", options)
            self.assertIsNone(exchange.fetched_endorsements())
            purposes = []
            while (step := exchange.next()).is_send():
                purposes.append(step.request.purpose())
                exchange.feed(*send(step.request))
            step.outcome.endpoint()
            count = sum(purpose.startswith("NVIDIA ") for purpose in purposes)
            self.assertEqual(count > 4, asked > 1, purposes)
            said = [exchange.fetched_endorsements()] if asked > 1 else said
        self.assertEqual(count, 1, "a token is asked for each time")

    def test_a_capture_gives_the_same_report_again(self) -> None:
        for defect, verdict in (("", proveil.Verdict.VERIFIED), ("tampered-quote", proveil.Verdict.REFUSED)):
            self.command(f"defects {defect}".strip())
            bundle = asyncio.run(self.client().capture(self.model))
            report = bundle.appraise()
            self.assertEqual((bundle.kind(), report.verdict()), ("provider", verdict))
            kept = proveil.EvidenceBundle.from_json(bundle.to_json())
            self.assertEqual(kept.appraise(trust_roots=kept.custom_roots()).to_json(), report.to_json())
            self.assertNotIn("test-key", bundle.to_json())

    def test_cancelling_a_task_closes_the_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            base = f"http://127.0.0.1:{server.getsockname()[1]}/api/v1"
            options = proveil.ClientOptions(base_url=base, collateral_url=base)
            client = proveil.Client("venice", "k", options)

            async def run() -> bytes:
                loop = asyncio.get_running_loop()
                task = loop.create_task(client.verify("e2ee-m"))
                server.setblocking(False)
                connection, _ = await loop.sock_accept(server)
                connection.setblocking(False)
                await loop.sock_recv(connection, 65536)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                rest = await asyncio.wait_for(loop.sock_recv(connection, 65536), 10)
                connection.close()
                return rest

            self.assertEqual(asyncio.run(run()), b"", "the connection is closed")

    def test_closing_a_stream_ends_it(self) -> None:
        async def run() -> None:
            stream = await self.client().chat(self.body())
            self.assertIsNotNone(await stream.next())
            stream.close()
            stream.close()
            with self.assertRaises(case({"class": "MisuseError"})):
                await stream.next()

        asyncio.run(run())


def send(request: proveil.HttpRequest) -> tuple[int, list[proveil.ResponseHeader], bytes]:
    headers = {header.name(): header.value() for header in request.headers()}
    body = request.body() if request.method() == "POST" else None
    outgoing = urllib.request.Request(request.url(), data=body, headers=headers, method=request.method())
    with urllib.request.urlopen(outgoing, timeout=30) as response:
        given = [proveil.ResponseHeader(name=name, value=value) for name, value in response.headers.items()]
        return response.status, given, response.read()


if __name__ == "__main__":
    unittest.main()
