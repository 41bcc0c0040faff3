from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from django_cfg.errors import MalformedMessageError
from django_cfg.modules.django_rpc import protocol
from django_cfg.modules.django_rpc.canonical import canonical, sort_sets
from django_cfg.rpc.validation import dump_json


class Tags(RootModel[frozenset[str]]):
    pass


class Params(BaseModel):
    tags: set[str]
    nested: list[Tags]
    order: list[str]


WORDS = ("red", "green", "blue", "black")
PARAMS = Params(tags=set(WORDS), nested=[Tags(frozenset(WORDS))], order=list(WORDS))


@pytest.mark.parametrize(
    "same",
    [
        (b'{"a":1,"b":[{"d":0,"c":2}]}', b'{"b": [{"c": 2.0, "d": -0.0}], "a": 1e0}'),
        (b"[0.5,100,1e300]", b"[5E-1, 1e2, 1.0e300]"),
        (b"[123456789012345678901234567890]", b"[123456789012345678901234567890.0]"),
    ],
)
def test_order_of_keys_and_spelling_of_numbers_do_not_count(same: tuple[bytes, bytes]) -> None:
    assert len(set(map(canonical, same))) == 1
    assert len({protocol.keyed_mark("m", params) for params in same}) == 1


@pytest.mark.parametrize(
    "different",
    [
        (b"[1,2]", b"[2,1]"),
        (b"[1]", b'["1"]'),
        (b"[0.5]", b'["0.5"]'),
        (b"[1]", b"[true]"),
        (b"[9007199254740993]", b"[9007199254740992]"),
    ],
)
def test_what_is_something_else_stays_so(different: tuple[bytes, bytes]) -> None:
    assert len(set(map(canonical, different))) == 2


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="not valid JSON"):
        canonical(b"{no json")


@pytest.mark.parametrize("given", [PARAMS, {"in": PARAMS, "tags": set(WORDS)}, Tags(frozenset(WORDS))])
def test_sets_are_written_in_an_order_of_their_own(given: Any) -> None:
    dumped = dump_json(given)
    sorted_sets = sort_sets(given, dumped)

    assert json.dumps(sorted(WORDS), separators=(",", ":")).encode() in sorted_sets
    if given is PARAMS:
        assert json.loads(sorted_sets)["order"] == list(WORDS)
        assert sorted_sets.count(b'["black","blue","green","red"]') == 2


def test_what_holds_no_set_is_left_as_it_is() -> None:
    dumped = b'{"b": 1.0, "a":[1,2]}'
    assert sort_sets({"b": 1.0, "a": [1, 2]}, dumped) is dumped


def test_other_processes_write_the_same() -> None:
    """The order in a set of texts is another in each."""
    code = (
        "from django_cfg.modules.django_rpc.tests.test_canonical import *\n"
        "print(sort_sets(PARAMS, dump_json(PARAMS)).decode())"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout
        for seed in range(3)
    }
    assert len(written) == 1
