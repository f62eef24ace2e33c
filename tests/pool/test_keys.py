"""Secrets stay secret, and a pool's keys are checked before it serves."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from ds2api_asgi.errors import ConfigurationError
from ds2api_asgi.pool.keys import Key, Secret, as_keys
from ds2api_asgi.pool.limits import RateLimits

CANARY = "sk-canary-8f2b6c1d9e7a"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r}".format, lambda s: f"{s}", lambda s: repr(Key(secret=s))]
)
def test_a_secret_is_never_shown(show) -> None:
    shown = show(Secret(CANARY))
    assert CANARY not in shown
    assert CANARY[:8] not in shown
    assert CANARY[-4:] not in shown


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode])
def test_a_secret_does_not_leave_in_a_dump(leak) -> None:
    with pytest.raises(TypeError) as caught:
        leak(Key(secret=Secret(CANARY)))
    assert CANARY not in str(caught.value)


def test_secrets_compare_by_value() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret(CANARY + "0")
    assert Secret(CANARY) != CANARY
    assert len({Secret(CANARY), Secret(CANARY)}) == 1


def test_an_alias_is_stable_and_holds_no_piece_of_the_key() -> None:
    alias = Secret(CANARY).alias()
    assert alias == Secret(CANARY).alias()
    assert alias.startswith("key-")
    assert not any(CANARY[i : i + 4] in alias for i in range(len(CANARY) - 3))


@pytest.mark.parametrize(
    "value", ["", " ", "sk-1\n", "sk 1", "sk-\r\nx-evil: 1", "schlüssel", "\x00", "'sk-1'", '"sk-1"', "Bearer sk-1"]
)
def test_what_no_header_can_carry_or_is_no_part_of_a_key_is_no_key_and_is_not_shown(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_keys([value])
    assert not value.strip() or value.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        CANARY,
        {"blue": CANARY},
        [CANARY, CANARY],
        [Key(secret=Secret("a"), alias="x"), Key(secret=Secret("b"), alias="x")],
        [Key(secret=Secret(CANARY), alias="x"), Key(secret=Secret(CANARY), alias="y")],
        [Key(secret=Secret(CANARY), alias=CANARY)],
        [Key(secret=Secret(CANARY), alias="two words")],
        [Key(secret=Secret(CANARY), weight=0.0)],
        [Key(secret=Secret(CANARY), weight=float("nan"))],
        [Key(secret=Secret(CANARY), weight=float("inf"))],
        [Key(secret=Secret(CANARY), models=frozenset())],
        [Key(secret=Secret(CANARY), limits=RateLimits(rpm=0))],
        [Key(secret=Secret(CANARY), model_limits={"m": RateLimits(tpm=-1)})],
        [
            Key(secret=Secret(CANARY), quota_scope="org", limits=RateLimits(rpm=1)),
            Key(secret=Secret("b"), quota_scope="org"),
        ],
        [Key(secret=CANARY)],
        [None],
    ],
)
def test_keys_that_cannot_work_are_refused_at_once_without_naming_a_secret(keys) -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_keys(keys)
    assert CANARY not in str(caught.value)


def test_plain_strings_and_keys_mix_and_keep_their_order() -> None:
    keys = as_keys(["sk-1", Key(secret=Secret("sk-2"), alias="second", weight=2.0)])
    assert [key.secret.reveal() for key in keys] == ["sk-1", "sk-2"]
    assert [key.alias for key in keys] == [Secret("sk-1").alias(), "second"]
