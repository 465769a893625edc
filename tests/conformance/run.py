#!/usr/bin/env python3
"""Runs a directory of test vectors through the drivers of all languages and compares: see protocol.md.

Standard library only; Python 3.10 or newer.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import privatemode
from checks import Json, Mismatch, Steps, members, short, want_equal, want_members, want_ok, want_slug

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LANGUAGES = ("rust", "c", "python", "node", "uniffi")
TAB_FORM = {"c"}
ANSWER_WITHIN_S = 60

SKIPPED = {
    "aci": "keysets and receipts of the ACI gateway come with its provider",
    "near_reports": "reports of several nodes come with the provider NEAR AI",
    "fields_other": "these envelopes belong to the direct providers",
}

# The vectors name causes more finely or in other words than the registry, per set.
ALIASES = {
    "signatures": {
        "address_mismatch": "signer_mismatch",
        "bad_recovery_id": "signature_invalid",
        "bad_length": "signature_invalid",
        "sig_invalid": "signature_invalid",
        "text_malformed": "text_mismatch",
    },
    "fields_ecdsa_bad": {"invalid_utf8_if_final": "invalid_utf8"},
}


# --- Venice's sets --------------------------------------------------------------------------------------------------------------


def want_error(answer: Json, name: str, slug: str) -> Json:
    return want_slug(answer, ALIASES.get(name, {}).get(slug, slug))


def inspected(
    name: str, kind: str, inputs: tuple[str, ...], outputs: Callable[[Json], Json], within: str | None = None
) -> Callable[[Json, Json], Steps]:
    """A set whose cases are one `inspect` call; `outputs` gives the members to compare on success, all or those `within` one."""

    def steps(case: Json, top: Json) -> Steps:
        given = {**members(top, *inputs), **members(case, *inputs)}
        answer = yield "inspect", kind, json.dumps(given)
        if case["expect"] in ("ok", "valid", "accept"):
            found = want_ok(answer)
            want_members(found if within is None else found[within], outputs(case))
        elif case["expect"] in ("error", "refuse"):
            want_error(answer, name, case.get("error_class", case.get("reason", "")))
        else:
            raise Mismatch(f"the case expects {case['expect']!r}, which nobody defined")

    return steps


def models(case: Json, _top: Json) -> Steps:
    answer = yield "inspect", "venice.models", json.dumps(members(case, "response"))
    want_equal("classes", want_ok(answer).get("classes"), case["expect"])


def field(case: Json, _top: Json) -> Steps:
    key = case["recipient_private_key"]
    plaintext = want_ok((yield "open_field", key, case["field_hex"]))
    data = bytes.fromhex(plaintext)
    want_equal("length", len(data), case["plaintext_len"])
    want_equal("digest", hashlib.sha256(data).hexdigest(), case["plaintext_sha256"])
    if "plaintext" in case:
        want_equal("plaintext", plaintext, case["plaintext"].encode().hex())
    sealed = want_ok((yield "seal_field", case["recipient_public_key"], plaintext))
    want_equal("length of a sealed field", len(sealed), 2 * (65 + 12 + len(data) + 16))
    want_equal("sealed and opened", want_ok((yield "open_field", key, sealed)), plaintext)


def bad_field(case: Json, _top: Json) -> Steps:
    answer = yield "open_field", case["recipient_private_key"], case["field"]
    # `ok` marks what nobody may rely on to fail: all languages must agree, either way.
    if case["expect"] != "ok":
        want_error(answer, "fields_ecdsa_bad", case["error_class"])


def stream(case: Json, _top: Json) -> Steps:
    pieces = [base64.b64decode(piece).hex() for piece in case["chunks_b64"]]
    status = str(case["http_status"])
    answer = yield "open_stream", case["client_private_key"], case["policy"], status, case["content_type"], *pieces
    expect = case["expect"]
    if expect["outcome"] == "ok":
        found = want_ok(answer)
        events = found["events"]
        want_equal("content", by_choice(events, "content"), expect["content"])
        want_equal("reasoning", by_choice(events, "reasoning"), expect["reasoning"])
        want_equal("finish_reason", by_choice(events, "finish"), expect["finish_reason"])
        usage = [json.loads(text) for kind, _, text in events if kind == "usage"]
        want_equal("usage", usage[-1] if usage else None, expect["usage"])
        want_equal("id", found["receipt"]["id"], expect["id"])
    else:
        # The registry tells "this key is not accepted" apart from other refusals, because it is cured by verifying again.
        stale = expect.get("error_type") in ("e2ee_decryption_failed", "e2ee_model_key_mismatch")
        error = want_error(answer, "sse", "stale_key" if stale else expect["error_class"])
        if "delivered_before_error" in expect:
            delivered = by_choice(error["delivered"], "content").get("0", "")
            want_equal("text before the error", delivered, expect["delivered_before_error"])
        if "error_message" in expect and expect["error_message"] not in (error.get("found") or ""):
            raise Mismatch(f"the provider's words {expect['error_message']!r} are not in {error.get('found')!r}")


def by_choice(events: Json, kind: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for have, choice, text in events:
        if have == kind:
            texts[str(choice)] = texts.get(str(choice), "") + text
    return texts


HANDLERS: dict[str, Callable[[Json, Json], Steps]] = {
    "fields_ecdsa": field,
    "fields_ecdsa_bad": bad_field,
    "sse": stream,
    "models": models,
    "keys": inspected(
        "keys", "venice.key", ("algo", "key_input"), lambda case: members(case, "public_key_uncompressed", "address")
    ),
    "reportdata": inspected(
        "reportdata",
        "venice.report_data",
        ("report_data", "nonce", "signer", "tls_cert_fingerprint"),
        lambda case: members(case, "variant"),
    ),
    "attestation_responses": inspected(
        "attestation_responses", "venice.attestation", ("request", "policy", "response"), lambda case: case["result"]
    ),
    "requests": inspected(
        "requests", "venice.request", ("body", "known_e2ee_models"), lambda case: members(case, "encrypt", "wire_stream")
    ),
    "signatures": inspected(
        "signatures",
        "venice.signature",
        ("signing_algo", "text", "signature", "signing_address", "request_body_b64", "response_body_b64", "model"),
        lambda case: members(case, "layout"),
    ),
    "quotes": inspected("quotes", "tdx.quote", ("intel_quote",), lambda case: case["fields"], "fields"),
    "dstack": inspected(
        "dstack",
        "dstack.event_log",
        ("kind", "event_log", "app_compose", "rtmr3", "mr_config_id"),
        lambda case: members(case, "compose_hash", "app_id", "instance_id", "os_image_hash"),
    ),
}

# For a set under another name: members that only cases of that kind have.
SHAPES = (
    ({"chunks_b64"}, "sse"),
    ({"field_hex", "shared_secret"}, "fields_ecdsa"),
    ({"field", "recipient_private_key"}, "fields_ecdsa_bad"),
    ({"event_log"}, "dstack"),
    ({"intel_quote"}, "quotes"),
    ({"request", "policy", "response"}, "attestation_responses"),
    ({"report_data", "signer"}, "reportdata"),
    ({"signature", "signing_address", "text"}, "signatures"),
    ({"key_input"}, "keys"),
    ({"body"}, "requests"),
    ({"response"}, "models"),
)


HANDLERS.update(privatemode.HANDLERS)


def kind_of(name: str, cases: list[Json]) -> str | None:
    if name.startswith(privatemode.PREFIX):
        # Never by the shape of its cases: Venice has sets of the same names.
        return name if name in HANDLERS else None
    if name in HANDLERS or name in SKIPPED:
        return name
    for shape, kind in SHAPES:
        if cases and all(shape <= case.keys() for case in cases):
            return kind
    return None


# --- drivers --------------------------------------------------------------------------------------------------------------------


def first_file(*candidates: Path) -> str | None:
    return next((str(path) for path in candidates if path.is_file()), None)


def command_of(language: str) -> list[str] | None:
    """The driver's command, or nothing where it is not built."""
    if given := os.environ.get(f"PROVEIL_DRIVER_{language.upper()}"):
        return shlex.split(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    drivers = HERE / "drivers"
    if language == "rust":
        program = first_file(target / "release/proveil-conformance", target / "debug/proveil-conformance")
        return [program] if program else None
    if language == "c":
        program = first_file(target / "conformance/c-driver")
        return [program] if program else None
    if language == "python":
        python = first_file(*(target / "python" / name / "bin/python" for name in ("test-venv", "dev-venv", "release-venv")))
        return [python, str(drivers / "python/driver.py")] if python else None
    if language == "node":
        built = first_file(ROOT / "node/dist/index.mjs") and any((ROOT / "node").glob("*.node"))
        return ["node", str(drivers / "node/driver.mjs")] if built and shutil.which("node") else None
    built = first_file(ROOT / "target/uniffi/python/proveil_uniffi.py")
    return [sys.executable, str(drivers / "uniffi/driver.py")] if built else None


def build(language: str) -> None:
    """Builds a driver that is not there. What goes wrong is on standard error; the language then counts as missing."""
    if shutil.which("cargo"):
        print(f"building the driver for {language}", file=sys.stderr)
        subprocess.run(["cargo", "xtask", "drivers", language], cwd=ROOT, stdout=sys.stderr, check=False)


class Driver:
    """A driver under way. It is started again after a crash, so that one bad case does not hide the others."""

    def __init__(self, language: str, command: list[str]) -> None:
        self.language = language
        self.command = command
        self.process: subprocess.Popen[str] | None = None
        self.last = 0

    def call(self, verb: str, args: tuple[str, ...]) -> Json:
        self.last += 1
        if self.language in TAB_FORM:
            fields = (str(self.last), verb, *args)
            if any(c in text for text in fields for c in "\t\n\r"):
                raise Mismatch("an argument cannot be carried in the tab form")
            line = "\t".join(fields)
        else:
            line = json.dumps({"id": self.last, "verb": verb, "args": args})
        answer = self.read(self.exchange(line))
        if answer.get("id") != self.last or ("ok" in answer) == ("error" in answer):
            self.stop()
            raise Mismatch("the driver broke the protocol")
        return {name: answer[name] for name in ("ok", "error") if name in answer}

    def read(self, line: str) -> Json:
        try:
            if self.language not in TAB_FORM:
                return json.loads(line)
            number, outcome, *rest = line.split("\t")
            if outcome == "ok":
                return {"id": int(number), "ok": json.loads(rest[0])}
            shown = json.loads(rest[1])
            shown = shown if isinstance(shown, dict) else {"delivered": shown}
            return {"id": int(number), "error": {"slug": rest[0], **shown}}
        except (ValueError, IndexError) as error:
            self.stop()
            raise Mismatch(f"the driver's answer cannot be read: {short(line)}") from error

    def exchange(self, line: str) -> str:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT
            )
        assert self.process.stdin and self.process.stdout
        timer = threading.Timer(ANSWER_WITHIN_S, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            timer.cancel()
        if not answer.endswith("\n"):
            self.stop()
            raise Mismatch("the driver ended without an answer")
        return answer[:-1]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def end(self) -> str | None:
        """Ends the driver in order; says what was wrong about that."""
        if self.process is None:
            return None
        try:
            self.process.communicate(timeout=ANSWER_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return "the driver did not end with its input"
        return None if self.process.returncode == 0 else f"the driver's exit status was {self.process.returncode}"


# --- running --------------------------------------------------------------------------------------------------------------------


def run_case(steps: Steps, driver: Driver) -> tuple[str | None, list[Json]]:
    """Why the case failed, if it did, and the answers that every language must give alike."""
    comparable: list[Json] = []
    try:
        call = next(steps)
        while True:
            verb, *args = call
            answer = driver.call(verb, tuple(args))
            random = verb == "seal_field" and "ok" in answer
            comparable.append({"length": len(answer["ok"])} if random else answer)
            call = steps.send(answer)
    except StopIteration:
        return None, comparable
    except Mismatch as mismatch:
        return str(mismatch), comparable
    except Exception as error:  # a case or an answer that lacks a member
        return f"{type(error).__name__}: {error}", comparable


class Set:
    """One file of vectors and its counts."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        cases = document.get("cases") if isinstance(document, dict) else None
        if not isinstance(cases, list) or not ({"format", "vector_set"} & document.keys()):
            raise ValueError("not a vector set: no header or no cases")
        ids = [case["id"] for case in cases]
        if len(set(ids)) != len(ids):
            raise ValueError("a case id occurs twice")
        self.name: str = document.get("vector_set", path.stem)
        self.top = document
        self.cases = cases
        self.kind = kind_of(self.name, cases)
        self.passed = self.failed = self.skipped = self.diverged = 0
        self.note = ""

    def run(self, drivers: list[Driver]) -> list[str]:
        if self.kind in SKIPPED:
            self.skipped, self.note = len(self.cases), SKIPPED[self.kind]
            return []
        if self.kind is None:
            self.failed, self.note = len(self.cases), "no rule for this kind of set"
            return [f"FAIL {self.name}: {self.note}"]
        lines = []
        for case in self.cases:
            results = {driver.language: run_case(HANDLERS[self.kind](case, self.top), driver) for driver in drivers}
            reasons = {language: reason for language, (reason, _) in results.items() if reason}
            lines += [f"FAIL {self.name}/{case['id']} {language}: {reason}" for language, reason in reasons.items()]
            if reasons:
                self.failed += 1
            else:
                self.passed += 1
            if len({json.dumps(answers, sort_keys=True) for _, answers in results.values()}) > 1:
                self.diverged += 1
                lines.append(f"DIVERGE {self.name}/{case['id']}:")
                lines += [f"    {language}: {short(answers)}" for language, (_, answers) in results.items()]
        return lines


def table(sets: list[Set]) -> list[str]:
    heads = ("set", "cases", "pass", "fail", "skip", "diverge")
    rows = [(s.name, len(s.cases), s.passed, s.failed, s.skipped, s.diverged, s.note) for s in sets]
    sums = [sum(row[column] for row in rows) for column in range(1, 6)]
    rows.append(("total", *sums, ""))
    width = max(len(row[0]) for row in rows)
    lines = [f"{heads[0]:<{width}}" + "".join(f"{head:>9}" for head in heads[1:])]
    for name, *numbers, note in rows:
        lines.append(f"{name:<{width}}" + "".join(f"{number:>9}" for number in numbers) + (f"  {note}" if note else ""))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Run test vectors through every language and compare.")
    parser.add_argument("--vectors", type=Path, required=True, metavar="DIR", help="directory with vector sets (*.json)")
    parser.add_argument("--lang", default=",".join(LANGUAGES), help="languages, separated by commas (default: all)")
    parser.add_argument("--require-all", action="store_true", help="fail when a requested language is missing")
    parser.add_argument("--no-build", action="store_true", help="do not build drivers that are not there")
    options = parser.parse_args()
    wanted = [language for language in options.lang.split(",") if language]
    if unknown := [language for language in wanted if language not in LANGUAGES]:
        parser.error(f"unknown language {unknown[0]!r}: choose from {', '.join(LANGUAGES)}")
    files = sorted(options.vectors.glob("*.json"))
    if not files:
        parser.error(f"no vector sets in {options.vectors}")
    drivers, missing = [], []
    for language in wanted:
        if command_of(language) is None and not options.no_build:
            build(language)
        command = command_of(language)
        if command is None:
            missing.append(language)
        else:
            drivers.append(Driver(language, command))
    sets, lines = [], []
    for path in files:
        try:
            sets.append(Set(path))
        except (ValueError, KeyError, TypeError) as error:
            lines.append(f"FAIL {path.name}: {error}")
            continue
        if drivers:
            lines += sets[-1].run(drivers)
    for driver in drivers:
        if complaint := driver.end():
            lines.append(f"FAIL {driver.language}: {complaint}")
    print(*lines, *table(sets), sep="\n")
    print(f"languages: {', '.join(driver.language for driver in drivers) or 'none'}")
    if missing:
        print(f"missing: {', '.join(missing)} (build them with `cargo xtask drivers {' '.join(missing)}`)")
    return 1 if lines or not drivers or (missing and options.require_all) else 0


if __name__ == "__main__":
    sys.exit(main())
