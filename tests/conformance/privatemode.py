"""The sets of Privatemode's vectors (tests/vectors/privatemode/README.md): every case by calls of `inspect` (docs/inspect.md).

Of the two verdicts of a case, `strict` is ours; `reference` is informational, and only compared with ours where it says something about it.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from collections.abc import Callable

from checks import Json, Mismatch, Steps, members, want_equal, want_members, want_ok, want_slug

PREFIX = "privatemode/"
SECRET_SERVICE = "secret.privatemode.ai"
FRESH = bytes(range(32))

ENDPOINTS = {
    "chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "transcription": "/v1/audio/transcriptions",
    "unstructured": "/unstructured/general/v0/general",
}


def call(kind: str, **given: Json) -> tuple[str, ...]:
    return "inspect", f"privatemode.{kind}", json.dumps({name: value for name, value in given.items() if value is not None})


def exchange(case: Json) -> Json:
    """Key, id and nonce of a case by the names of `inspect`."""
    return {"key": case["key_hex"], "secret_id": case["secret_id"], "nonce": case["nonce_hex"]}


def endpoint(kind: str) -> str:
    return ENDPOINTS[kind.split("_")[0]]


def unix_s(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- sealing --------------------------------------------------------------------------------------------------------------------


def message_cipher(case: Json, _top: Json) -> Steps:
    given = {**exchange(case), "counter": case["seq"]}
    sealed = want_ok((yield call("field", **given, plaintext=case["plaintext_hex"], iv=case["iv_hex"])))
    want_equal("message", sealed, {"message": case["message"]})
    opened = want_ok((yield call("field", **given, message=case["message"])))
    want_equal("opened", opened, {"plaintext": case["plaintext_hex"]})


SEALED_WRONG = ("not_ciphertext", "foreign_field", "auth_failed")
# Which error each kind of refusal is: callers tell a downgrade, a foreign field and a changed one apart.
CAUSES = {
    "foreign_field": ("mn-03", "mn-05"),
    "auth_failed": ("mn-06", "mn-18"),
    "not_ciphertext": ("mn-01", "mn-08", "mn-10", "mn-11", "mn-13", "mn-15", "mn-16"),
}


def message_cipher_negative(case: Json, _top: Json) -> Steps:
    answer = yield call(
        "field",
        key=case["key_hex"],
        secret_id=case["session_secret_id"],
        nonce=case["session_nonce_hex"],
        counter=case["seq"],
        message=case["message"],
    )
    if case["strict"] == "accept":
        want_equal("reference", case["reference"], "accept")
        want_equal("opened", want_ok(answer), {"plaintext": case["plaintext_hex"]})
    else:
        want_equal("strict", case["strict"], "reject")
        want_equal("plaintext", case["plaintext_hex"], None)
        known = [slug for slug, ids in CAUSES.items() if case["id"] in ids]
        want_slug(answer, *(known or SEALED_WRONG))


def session(case: Json, _top: Json) -> Steps:
    steps = [
        {"plaintext": step["plaintext_hex"], "iv": step["iv_hex"]} if step["op"] == "encrypt" else {"message": step["message"]}
        for step in case["steps"]
    ]
    found = want_ok((yield call("session", **exchange(case), steps=steps)))
    want_equal("results", len(found["results"]), len(steps))
    counts = {"encrypt": 0, "decrypt": 0}
    for number, (step, result) in enumerate(zip(case["steps"], found["results"])):
        encrypts = step["op"] == "encrypt"
        expected = step["message"] if encrypts else step["result"]
        if expected != "error":
            counts[step["op"]] += 1
            want_equal(f"step {number}", result, {"message" if encrypts else "plaintext": expected})
            continue
        if encrypts:
            causes = ("out_of_order", "random_failed")
        elif "reference_result" in step:
            # The only place where the reference is laxer: a response under an iv of the request.
            want_equal("reference", step["reference_result"] == "error", False)
            causes = ("reflected_field",)
        else:
            causes = (*SEALED_WRONG, "reflected_field")
        want_slug({"error": {"slug": result["error"]}} if "error" in result else {"ok": result}, *causes)
    want_equal("counted", (found["sealed_fields"], found["opened_fields"]), (counts["encrypt"], counts["decrypt"]))


PLACES = ("first", "second", "third", "fourth", "fifth")
OAE_ENDS = {"authentication failed": "auth_failed", "stream closed": "already_finished"}


def oae_end(expect: str) -> tuple[int | None, str | None]:
    """Number and error of the first delivery that is to be refused."""
    if expect == "ok":
        return None, None
    cause, _, place = expect.removesuffix(" delivery").partition(" at the ")
    return PLACES.index(place), OAE_ENDS[cause]


def oae(case: Json, _top: Json) -> Steps:
    secret, asked, answered = (bytes.fromhex(case[f"{n}_hex"]) for n in ("shared_secret", "request_header", "response_header"))
    prk = hmac_sha256(asked, secret)
    want_equal("prk", prk.hex(), case["exchange_prk_hex"])
    request_key = hmac_sha256(prk, b"privatemode oae request key\0\x01")
    want_equal("request key", request_key.hex(), case["request_key_hex"])
    response_key = hmac_sha256(prk, b"privatemode oae response key\0" + answered + b"\x01")
    want_equal("response key", response_key.hex(), case["response_key_hex"])

    messages = [
        {"stream": m["stream"], "final": m["final"], "plaintext": m["plaintext_hex"], "iv": m["iv_hex"]} for m in case["messages"]
    ]
    for stream in ("request", "response"):
        numbers = [m["seq"] for m in case["messages"] if m["stream"] == stream]
        want_equal("numbers", numbers, list(range(len(numbers))))
    delivered = case["deliver"]
    if delivered is None:
        delivered = [m["sealed_hex"] for m in case["messages"] if m["sealed_hex"]]
    # As many as the request has go to its receiver, the others to that of the answer, whatever they are.
    asks = sum(m["stream"] == "request" for m in case["messages"])
    deliver = [{"stream": "request" if i < asks else "response", "message": message} for i, message in enumerate(delivered)]
    found = want_ok(
        (
            yield call(
                "oae",
                secret=secret.hex(),
                request_header=asked.hex(),
                response_header=answered.hex(),
                messages=messages,
                deliver=deliver,
            )
        )
    )
    place, slug = oae_end(case["expect"])
    want_equal("sealed", len(found["sealed"]), len(messages))
    for message, sealed in zip(case["messages"], found["sealed"]):
        # The vector goes on after a stream's end to show that it is refused: a sealer refuses to make that message.
        refused = slug == "already_finished" and sealed == {"error": "already_finished"}
        if not refused:
            want_equal("sealed", sealed, {"message": message["sealed_hex"]})
    want_equal("opened", len(found["opened"]), len(delivered))
    for number, (message, opened) in enumerate(zip(delivered, found["opened"])):
        if place is not None and number >= place and deliver[number]["stream"] == deliver[place]["stream"]:
            want_equal(f"delivery {number}", opened, {"error": slug})
            continue
        made = next(m for m in case["messages"] if m["sealed_hex"] == message)
        want_equal(f"delivery {number}", opened, {"plaintext": made["plaintext_hex"]})
    for stream in ("request", "response"):
        failed = place is not None and deliver[place]["stream"] == stream
        want_equal(f"end of the {stream}", found[f"{stream}_end"], slug if failed else None)


def exported_by_hand(case: Json) -> None:
    """From the KEM's shared secret to the exported one, by RFC 9180 5.1 and RFC 5869 on HMAC alone."""
    suite = b"HPKE" + b"".join(int(case[name], 16).to_bytes(2, "big") for name in ("kem_id", "kdf_id", "aead_id"))

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac_sha256(salt, b"HPKE-v1" + suite + label + ikm)

    def expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        out = block = b""
        while len(out) < length:
            number = len(out) // 32 + 1
            block = hmac_sha256(key, block + length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + bytes([number]))
            out += block
        return out[:length]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", bytes.fromhex(case["info_hex"]))
    shared = extract(bytes.fromhex(case["kem_shared_secret_hex"]), b"secret", b"")
    exporter = expand(shared, b"exp", context, 32)
    want_equal("exporter secret", exporter.hex(), case["exporter_secret_hex"])
    length = len(case["exported_hex"]) // 2
    exported = expand(exporter, b"sec", bytes.fromhex(case["exporter_context_hex"]), length)
    want_equal("exported by hand", exported.hex(), case["exported_hex"])


def secret_exchange_hpke(case: Json, _top: Json) -> Steps:
    exported_by_hand(case)
    given = {
        "private_seed": case["private_seed_hex"],
        "info": case["info_hex"],
        "exporter_context": case["exporter_context_hex"],
        "length": len(case["exported_hex"]) // 2,
    }
    expected = {
        "public_key": case["public_key_hex"],
        "secret_id": case["secret_id"],
        "encapsulated_key": case["encapsulated_key_hex"],
        "exported": case["exported_hex"],
    }
    client = want_ok((yield call("secret_exchange", **given, encapsulated_key=case["encapsulated_key_hex"])))
    want_equal("client", client, expected)
    server = want_ok((yield call("secret_exchange", **given, encapsulation_seed=case["encapsulation_seed_hex"])))
    want_equal("server", server, {**expected, "server_exported": case["exported_hex"]})
    public, encapsulated = bytes.fromhex(client["public_key"]), bytes.fromhex(client["encapsulated_key"])
    want_equal("signature input", sha256(public, encapsulated).hex(), case["signature_input_sha256_hex"])
    if case["request_json"] is not None:
        want_equal("request", json.loads(case["request_json"]), {"PublicKey": b64(public)})


# --- bodies ---------------------------------------------------------------------------------------------------------------------


def part(case: Json) -> str:
    want_equal("kind", case["kind"].split("_")[1], {"encrypt": "request", "decrypt": "response"}[case["direction"]])
    if case["direction"] == "encrypt":
        return "request"
    # Answers to errors lack what a successful one must have.
    return "failure" if '"error":' in case["input"] else "answer"


def json_body(case: Json, checks: bool = True) -> tuple[str, ...]:
    return call(
        "json_body",
        **exchange(case),
        endpoint=endpoint(case["kind"]),
        part=part(case),
        # Requests that are to be refused come without; they are refused before anything is sealed.
        ivs=case.get("ivs_hex", []),
        checks=checks,
        body=case["input"],
    )


def json_mutation(case: Json, _top: Json) -> Steps:
    read = json.loads(case["input"])
    # The transformation alone, and, for what can be sent, with the checks of a request.
    for checks in (False, True) if isinstance(read, dict) and "model" in read else (False,):
        found = want_ok((yield json_body(case, checks)))
        want_members(found, {"body": case["output"], "sealed": case["encrypted_order"]})
        if isinstance(read, dict):
            want_equal("all members", sorted(found["sealed"] + found["clear"]), sorted(read))


REFUSED = {
    "invalid JSON": ("malformed_request",),
    "top level is not an object": ("malformed_request",),
    "unknown member in a plain object": ("unknown_field",),
    "plain member of the wrong type": ("invalid_argument",),
    "member is not a sealed string": ("not_ciphertext",),
    "counter": ("auth_failed",),
    "no choices in a successful chat response": ("truncated",),
    "id outside [A-Za-z0-9._:-]{1,128}": ("plaintext_downgrade",),
    "type outside the known list": ("plaintext_downgrade",),
    "opened value is not valid JSON": ("malformed_response",),
}


# For reasons that are not listed: the caller's mistakes, and answers that prove nothing.
REFUSED_REQUEST = (
    "malformed_request",
    "duplicate_member",
    "invalid_argument",
    "unknown_field",
    "unencryptable_field",
    "media_url",
    "limit_exceeded",
)
REFUSED_ANSWER = (*SEALED_WRONG, "malformed_response", "plaintext_downgrade", "truncated", "invalid_utf8", "limit_exceeded")


def json_mutation_negative(case: Json, _top: Json) -> Steps:
    want_equal("strict", case["strict"], "reject")
    encrypts = case["direction"] == "encrypt"
    if case["reason"] == "duplicate member":
        slugs = ("duplicate_member",) if encrypts else ("malformed_response",)
    else:
        slugs = REFUSED.get(case["reason"], REFUSED_REQUEST if encrypts else REFUSED_ANSWER)
    error = want_slug((yield json_body(case)), *slugs)
    for secret in ("secret text", "forged", "script", "hello"):
        want_equal("content in an error", secret in json.dumps(error), False)


def form_mutation(case: Json, _top: Json) -> Steps:
    parts = [{"name": p["name"], "filename": p.get("filename"), "data": p["data_hex"]} for p in case["parts"]]
    given = {**exchange(case), "ivs": case["ivs_hex"], "parts": parts}
    found = want_ok((yield call("form_body", **given, file_names="part")))
    body = bytes.fromhex(found["body"])
    boundary = found["content_type"].removeprefix("multipart/form-data; boundary=")
    want_equal("end of the body", body.endswith(f"\r\n--{boundary}--\r\n".encode()), True)
    want_equal("parts", len(found["parts"]), len(case["output_parts"]))
    written = body.split(f"--{boundary}\r\n".encode())[1:]
    for got, expected, wire in zip(found["parts"], case["output_parts"], written):
        want_equal("part", got, {
            "name": expected["name"],
            "filename": expected.get("filename"),
            "sealed": expected["sealed"],
            "data": expected["data_hex"],
        })
        head, _, data = wire.partition(b"\r\n\r\n")
        want_equal("written", data.startswith(bytes.fromhex(expected["data_hex"])), True)
        if "content_type" in expected:
            want_equal("content type", f"\r\nContent-Type: {expected['content_type']}".encode() in head, True)


def raw_body(case: Json, _top: Json) -> Steps:
    content_type = "multipart/form-data; boundary=B"
    found = want_ok(
        (
            yield call(
                "raw_body",
                **exchange(case),
                ivs=[case["iv_hex"]],
                endpoint=endpoint("unstructured_request"),
                content_type=content_type,
                body=case["body_hex"],
            )
        )
    )
    want_equal("body", found, {"body": case["wire_body"], "content_type": content_type})
    opened = want_ok((yield call("field", **exchange(case), counter=0, message=case["wire_body"])))
    want_equal("opened", opened, {"plaintext": case["body_hex"]})


STREAM_ERRORS = {
    "authentication": ("auth_failed",),
    "truncated": ("truncated",),
    "unencrypted": ("plaintext_downgrade",),
    "plaintext-check": ("plaintext_downgrade",),
    "unauthenticated-error": ("upstream_error",),
}
OTHER_STREAM_ERRORS = (*SEALED_WRONG, "malformed_event", "malformed_response", "answer_mixed", "invalid_utf8", "limit_exceeded")


def stream(case: Json, _top: Json) -> Steps:
    answer = yield call(
        "stream",
        **exchange(case),
        endpoint=endpoint(case["kind"]),
        status=200,
        headers=case["response_headers"],
        wire=case["wire"],
    )
    if case["strict_error"] is not None:
        want_equal("strict output", case["strict_output"], None)
        want_slug(answer, *STREAM_ERRORS.get(case["strict_error"], OTHER_STREAM_ERRORS))
        return
    found = want_ok(answer)
    written = "".join((f"event: {name}\n" if name else "") + f"data: {text}\n\n" for name, text in found["events"])
    if case["kind"] == "chat_response":
        written += "data: [DONE]\n\n"
    # The end mark can be written in small letters; its form is ours.
    want_equal("output", written, case["strict_output"].replace("[done]", "[DONE]"))
    want_equal("bytes", found["body_bytes"], len(case["wire"].encode()))
    want_equal("sealed fields", found["sealed_fields"] > 0, True)


# --- beside the body ------------------------------------------------------------------------------------------------------------


def shard_key(case: Json, _top: Json) -> Steps:
    content = case["content"]
    text = content["text"] if "text" in content else content["repeat"] * content["times"] + content.get("tail", "")
    expected = {"shard_key": case["shard_key"]}
    want_equal("error", case["error"] is not None, case["shard_key"] is None)
    want_equal("of content", want_ok((yield call("shard_key", cache_salt=case["cache_salt"], content=text))), expected)
    body = json.dumps({"prompt": text})
    want_equal("of a body", want_ok((yield call("shard_key", cache_salt=case["cache_salt"], body=body))), expected)


def cache_salt(case: Json, _top: Json) -> Steps:
    answer = yield call("cache_salt", body=case["body"], shared_salt=case["default_salt"] or None, fresh=FRESH.hex())
    if case["error"] is not None:
        want_equal("error", "cache_salt" in case["error"], True)
        want_equal("body after", case["body_after"], None)
        want_slug(answer, "cache_salt")
        return
    after = case["body_after"].replace("<fresh random salt>", b64(FRESH))
    want_equal("result", want_ok(answer), {"shard_key": case["shard_key_header"], "body": after})


def ocsp_policy(case: Json, _top: Json) -> Steps:
    check = want_ok((yield call("ocsp_policy", secret=case["secret_hex"], header=case["header"], mac=case["mac"])))
    want_equal("valid", check["valid"], case["valid"])
    if "rules" in case and case["valid"]:
        policy = members(case, "rules", "revocation_time_not_before")
        want_members(check, policy)
        built = want_ok((yield call("ocsp_policy", secret=case["secret_hex"], **policy)))
        want_equal("built", built, members(case, "header", "mac"))


def ocsp_accept(case: Json, _top: Json) -> Steps:
    status = case["status"]
    at = unix_s(status["RevokedAt"]) if "RevokedAt" in status else None
    policy = members(case, "rules", "revocation_time_not_before")
    found = want_ok((yield call("ocsp_status", status=status["Value"], revoked_at=at, **policy)))
    want_equal("verdict", found, members(case, "accepted"))


def version_compat(case: Json, _top: Json) -> Steps:
    found = want_ok((yield call("version", **members(case, "version", "at_least"))))
    want_members(found, members(case, "result"))
    # What cannot be sent as a version is older than all.
    want_equal("usable", found["usable"] or not case["result"], True)


def media_policy(case: Json, _top: Json) -> Steps:
    path = {"openai": ENDPOINTS["chat"], "anthropic": ENDPOINTS["messages"]}[case["api"]]
    text = json.dumps(case["body"])
    answer = yield call("media", endpoint=path, body=text)
    if case["accepted"]:
        want_equal("remote images", want_ok(answer), {"remote_images": text.count("https:")})
    else:
        want_slug(answer, "media_url")


# --- attestation ----------------------------------------------------------------------------------------------------------------


def secret_exchange_response(case: Json, _top: Json) -> Steps:
    given = {
        "private_seed": case["private_seed_hex"],
        "answer": case["response_json"],
        "mesh_ca": case["mesh_ca_pem"].encode().hex(),
    }
    at = unix_s(case["now"])
    answer = yield call("secret_answer", **given, at=at, name=SECRET_SERVICE)
    if case["strict"] != "accept":
        want_equal("strict", case["strict"], "reject")
        want_equal("secret", (case["secret_hex"], case["secret_id"]), (None, None))
        want_slug(answer, "malformed_response", "mesh_ca", "mesh_certificate", "secret_signature", "invalid_point")
        return
    want_equal("reference", case["reference"], "accept")
    found = want_ok(answer)
    want_members(found, {"secret": case["secret_hex"], "secret_id": case["secret_id"]})
    want_equal("names", SECRET_SERVICE in found["names"], True)
    want_equal("end", found["not_after"] > at, True)
    want_slug((yield call("secret_answer", **given, at=at, name="other.privatemode.ai")), "mesh_certificate")
    want_slug((yield call("secret_answer", **given, at=found["not_after"] + 1, name=SECRET_SERVICE)), "mesh_certificate", "mesh_ca")


def report_data(case: Json, _top: Json) -> Steps:
    capabilities = case["capabilities_body"]
    found = want_ok(
        (
            yield call(
                "report_data",
                nonce=case["nonce_hex"],
                manifests=[text.encode().hex() for text in case["manifests"]],
                root_ca=case["root_ca_pem"].encode().hex(),
                mesh_ca=case["mesh_ca_pem"].encode().hex(),
                capabilities=None if capabilities is None else capabilities.encode().hex(),
            )
        )
    )
    want_equal(
        "result", found, {"transition_digest": case["transition_digest_hex"], "report_data": case["report_data_hex"]}
    )


def snp_id_key(case: Json, _top: Json) -> Steps:
    found = want_ok((yield call("id_key", measurement=case["measurement_hex"], guest_policy=case["guest_policy"])))
    hexes = ("id_block", "id_key_x", "id_key_y", "id_key_digest")
    want_equal("result", found, {"guest_policy": case["guest_policy_u64"], **{name: case[f"{name}_hex"] for name in hexes}})


def manifest_validation(case: Json, _top: Json) -> Steps:
    manifest = case["manifest"].encode()
    answer = yield call("manifest", manifest=manifest.hex())
    if not case["valid"]:
        want_equal("facts", case["facts"], None)
        want_slug(answer, "manifest_invalid")
        return
    found = want_ok(answer)
    want_equal("digest", found["sha256"], sha256(manifest).hex())
    if (facts := case["facts"]) is not None:
        want_equal("coordinator", found["coordinator_policy_hash"], facts["coordinator_policy_hash"])
        want_equal("guest policy", found["snp"][0]["guest_policy"], facts["guest_policy_u64"])
        want_equal("reference values", (len(found["snp"]), found["tdx"]), (facts["snp"], facts["tdx"]))


# Fields of an SEV-SNP report: offset and length in bytes (protocols/attestation.md 1.2).
SNP_BYTES = {"report_data": (0x50, 64), "measurement": (0x90, 48), "host_data": (0xC0, 32), "id_key_digest": (0xE0, 48)}
SNP_NUMBERS = {"policy": (0x08, 8), "vmpl": (0x30, 4), "platform_info": (0x40, 8), "reported_tcb": (0x180, 8)}


def attestation_envelope(case: Json, _top: Json) -> Steps:
    nonce = bytes.fromhex(case["nonce_hex"])
    want_equal("request", json.loads(case["request_json"]), {"Nonce": b64(nonce)})
    answer = yield call("document", response=case["response_json"])
    if case["verdict"] == "reject":
        want_equal("reason", isinstance(case["reason"], str), True)
        want_equal("decoded", case["decoded"], None)
        want_slug(answer, "contrast_malformed")
        return
    want_equal("verdict", (case["verdict"], case["reason"]), ("accept-shape", None))
    found, decoded = want_ok(answer), case["decoded"]
    report = bytes.fromhex(found["report"])
    fields = {f"{name}_hex": report[at : at + length].hex() for name, (at, length) in SNP_BYTES.items()}
    numbers = {name: int.from_bytes(report[at : at + length], "little") for name, (at, length) in SNP_NUMBERS.items()}
    want_equal("decoded", decoded, {
        **fields,
        "policy_u64": f"{numbers['policy']:#018x}",
        "vmpl": numbers["vmpl"],
        "reported_tcb_u64": f"{numbers['reported_tcb']:#x}",
        "vcek_hex": found["vcek"],
        "crl_hex": found["crl"],
        "product": found["product"],
        "platform_info_u64": f"{numbers['platform_info']:#x}",
    })
    # What the members bind is what the report holds.
    authorities = members(found, "manifests", "root_ca", "mesh_ca")
    bound = want_ok((yield call("report_data", nonce=case["nonce_hex"], **authorities)))
    want_equal("bound", bound["report_data"], decoded["report_data_hex"])
    manifest = base64.b64decode(case["expected_manifest_b64"])
    read = want_ok((yield call("manifest", manifest=manifest.hex())))
    want_equal("coordinator", read["coordinator_policy_hash"], decoded["host_data_hex"])
    reference = json.loads(manifest)["ReferenceValues"]["snp"][0]
    want_equal("guest policy", read["snp"][0]["guest_policy"], decoded["policy_u64"])
    policy = reference["GuestPolicy"]
    key = want_ok((yield call("id_key", measurement=read["snp"][0]["measurement"], guest_policy=policy)))
    want_equal("ID key", key["id_key_digest"], decoded["id_key_digest_hex"])


HANDLERS: dict[str, Callable[[Json, Json], Steps]] = {
    PREFIX + name: handler
    for name, handler in {
        "attestation_envelope": attestation_envelope,
        "cache_salt": cache_salt,
        "form_mutation": form_mutation,
        "json_mutation": json_mutation,
        "json_mutation_negative": json_mutation_negative,
        "manifest_validation": manifest_validation,
        "media_policy": media_policy,
        "message_cipher": message_cipher,
        "message_cipher_negative": message_cipher_negative,
        "oae": oae,
        "ocsp_accept": ocsp_accept,
        "ocsp_policy": ocsp_policy,
        "raw_body": raw_body,
        "report_data": report_data,
        "secret_exchange_hpke": secret_exchange_hpke,
        "secret_exchange_response": secret_exchange_response,
        "session": session,
        "shard_key": shard_key,
        "snp_id_key": snp_id_key,
        "sse": stream,
        "version_compat": version_compat,
    }.items()
}
