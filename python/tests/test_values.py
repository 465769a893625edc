"""Policies, trust roots and configurations are values; everything alive is not."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from pathlib import Path

import proveil
import pytest
from proveil import _core

CANARY = "canary-7f3a9c"
POLICY = '{"schema":"proveil.policy/v1","name":"mine","max_age_s":600,"gpu":{"evidence":"if_present"}}'


def test_policies_are_values() -> None:
    standard, strict, mine = proveil.Policy.standard(), proveil.Policy.strict(), proveil.Policy.from_json(POLICY)
    assert (standard.name, strict.name, mine.name) == ("standard", "strict", "mine")
    assert len({standard, strict, mine, proveil.Policy.standard(), proveil.Policy.from_json(POLICY)}) == 3
    for policy in (standard, strict, mine):
        for twin in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), proveil.Policy.from_json(policy.to_json())):
            assert twin == policy and hash(twin) == hash(policy) and twin.sha256 == policy.sha256
    assert standard != strict and standard.sha256 != strict.sha256 and standard != "standard"
    assert len(standard.sha256) == 64 and standard.sha256[:16] in repr(standard)


def test_policy_documents_come_in_any_form() -> None:
    forms = [POLICY, POLICY.encode(), bytearray(POLICY.encode()), memoryview(POLICY.encode())]
    forms += [{"schema": "proveil.policy/v1", "name": "mine", "max_age_s": 600, "gpu": {"evidence": "if_present"}}]  # type: ignore[list-item]
    assert len({proveil.Policy.from_json(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("document", "member"),
    [
        ("{}", "schema"),
        ('{"schema":"proveil.policy/v1","schema":"proveil.policy/v1"}', "document"),
        ('{"schema":"proveil.policy/v1","sofware":{}}', "sofware"),
        ('{"schema":"proveil.policy/v1","advisory_checks":["tdx.quote_signature"]}', "advisory_checks[0]"),
    ],
)
def test_policy_refusals_name_the_member(document: str, member: str) -> None:
    with pytest.raises(proveil.ConfigError) as caught:
        proveil.Policy.from_json(document)
    assert (caught.value.slug, caught.value.details["check"]) == ("policy_invalid", member)


def test_values_cannot_be_changed() -> None:
    for value, name in [(proveil.Policy.standard(), "name"), (proveil.Config(), "policy"), (proveil.Timeouts(), "idle_s")]:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
        with pytest.raises(AttributeError):
            setattr(value, "invented", None)


def test_configs_are_values(tmp_path: Path) -> None:
    config = proveil.Config(
        base_url="http://127.0.0.1:1", cache_dir=tmp_path, timeouts=proveil.Timeouts(idle_s=7), api_key=CANARY, proxy=f"http://u:{CANARY}@p:1"
    )
    twin = pickle.loads(pickle.dumps(config))
    assert twin == config and hash(twin) == hash(config) and twin.timeouts.idle_s == 7
    assert config != proveil.Config() and isinstance(config.cache_dir, str)
    assert CANARY not in repr(config) and CANARY not in str(config)
    assert CANARY.encode() not in pickle.dumps(proveil.Config(api_key_env="VENICE_API_KEY"))


def test_a_config_holds_no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", CANARY)
    config = proveil.Config()
    proveil.Client(config).close()
    assert CANARY.encode() not in pickle.dumps(config) and CANARY not in repr(vars(config))


def test_where_the_key_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VENICE_API_KEY", "VENICE_API_KEY_FILE", "OTHER", "OTHER_FILE"):
        monkeypatch.delenv(name, raising=False)
    for options, variable in [({}, "VENICE_API_KEY"), ({"api_key_env": "OTHER"}, "OTHER")]:
        with pytest.raises(proveil.ConfigError) as caught:
            proveil.Client(**options)  # type: ignore[arg-type]
        assert (caught.value.slug, caught.value.details["check"]) == ("missing_api_key", variable)
    monkeypatch.setenv("OTHER_FILE", str(tmp_path / "absent"))
    with pytest.raises(proveil.ConfigError) as caught:
        proveil.Client(api_key_env="OTHER")
    assert caught.value.slug == "file_unreadable" and "absent" in caught.value.details["found"]
    (tmp_path / "key").write_text(f"{CANARY}\n")
    monkeypatch.setenv("OTHER_FILE", str(tmp_path / "key"))
    proveil.Client(api_key_env="OTHER").close()
    proveil.Client(api_key=CANARY).close()


@pytest.mark.parametrize(
    ("options", "slug"),
    [
        ({"provider": "venise"}, "unknown_provider"),
        ({"base_url": "http://api.venice.ai"}, "invalid_url"),
        ({"collateral_url": "ftp://host"}, "invalid_url"),
        ({"ca_bundle": "/does/not/exist.pem"}, "file_unreadable"),
        ({"timeouts": proveil.Timeouts(connect_s=0)}, "config_invalid"),
        ({"proxy": "gopher://p"}, "config_invalid"),
    ],
)
def test_bad_configurations(options: dict[str, object], slug: str) -> None:
    with pytest.raises(proveil.ProveilError) as caught:
        proveil.Client(**{"api_key": CANARY, **options})  # type: ignore[arg-type]
    assert caught.value.slug == slug and CANARY not in str(caught.value)


def test_options_change_a_config() -> None:
    with pytest.raises(proveil.InputError):
        proveil.Client(proveil.Config(api_key=CANARY), provider="nowhere")
    with pytest.raises(TypeError):
        proveil.Client(proveil.Config(api_key=CANARY), invented=1)  # type: ignore[call-arg]


NOT_CONSTRUCTIBLE = [
    proveil.VerifiedEndpoint, proveil.Report, proveil.Check, proveil.Outcome, proveil.HttpRequest, proveil.SealedRequest, proveil.Opener,
    proveil.Event, proveil.Receipt, _core.Pending, _core.StreamHandle, proveil.Policy, proveil.TrustRoots,
]


@pytest.mark.parametrize("kind", NOT_CONSTRUCTIBLE, ids=lambda kind: kind.__name__)
def test_no_way_to_make_a_proof(kind: type) -> None:
    """Only verification makes an endpoint (threats I1): no constructor, no `__new__`, no subclass, no copy, no pickle."""
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        object.__new__(kind)
    with pytest.raises(TypeError):
        type("Forged", (kind,), {})


def test_alive_things_are_not_pickled() -> None:
    client, aio = proveil.Client(api_key=CANARY), proveil.AsyncClient(api_key=CANARY)
    for alive in (client, aio):
        with pytest.raises(TypeError, match="pickle the Config"):
            pickle.dumps(alive)
    key = "01" * 32
    for alive in (proveil.opener_for_key(key), proveil.Exchange("venice", "e2ee-m", CANARY)):
        with pytest.raises(TypeError):
            pickle.dumps(alive)
        with pytest.raises(TypeError):
            copy.copy(alive)


def test_times(stream_cases: dict[str, object]) -> None:
    exchange = proveil.Exchange("venice", "e2ee-m", CANARY)
    exchange.next(datetime(2026, 6, 10, tzinfo=timezone.utc))
    exchange.next(1_781_056_027)
    for wrong in (datetime(2026, 6, 10), -1, True, 1.5, "2026", 2**64):
        with pytest.raises(proveil.InputError) as caught:
            exchange.next(wrong)  # type: ignore[arg-type]
        assert caught.value.details["check"] == "at"
