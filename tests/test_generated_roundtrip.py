"""Values of the server's own models through the generated types and back: nothing changes on the way."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from tests.generated import run, tool, write_go_module, write_language
from tests.golden_update import GOLDEN, load

KEY = UUID("12345678-1234-5678-1234-567812345678")
SERVER = {method.name: method for method in load(GOLDEN / "types" / "handlers.py").methods()}

SCALARS: dict[str, Any] = {
    "text": 'é \U0001f600 \u2028 \x00 "quoted"',
    "whole": 2**53 + 1,
    "real": 1e100,
    "flag": False,
    "moment": dt.datetime(2024, 2, 29, 1, 2, 3, 123456, dt.timezone(dt.timedelta(hours=5, minutes=30))),
    "moments": [dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
    "naive": dt.datetime(2024, 2, 29, 1, 2, 3, 4),
    "day": dt.date(2024, 2, 29),
    "clock": dt.time(23, 59, 59, 999999),
    "span": -dt.timedelta(days=400, seconds=1, microseconds=500000),
    "key": KEY,
    "price": Decimal("123456789.123456789"),
    "raw": "é".encode(),
    "link": "https://example.com/?a=b",
    "anything": {"a": [1, None, {"b": "c"}]},
    "nothing": None,
    "literal": "b",
    "number": 2,
}
CONTAINERS: dict[str, Any] = {
    "names": [],
    "grid": [[1, 2], []],
    "unique": {3, 1},
    "frozen": frozenset({"a"}),
    "pair": (1, "a"),
    "many": (1, 2, 3),
    "by_number": {-1: "a", 2: "b"},
    "by_color": {"dark-blue": 1},
    "by_key": {KEY: {"radius": 1.5}},
    "nullable_items": [1, None],
    "nullable_list": None,
    "size": (3, "cm"),
    "tags": ["x"],
    "json_value": {"a": [1.5, "b", True, None, {"c": {}}]},
}
UNIONS: dict[str, Any] = {
    "pet": {"kind": "dog", "good": False},
    "maybe_pet": {"kind": "cat", "lives": 7},
    "shape": {"side": 2.0, "color": "dark-blue"},
    "shapes": [{"radius": 1.0}, {"side": 1.0}],
    "number_or_text": "7",
    "choice": "auto",
    "mixed": 1,
}
TREE = {"label": "a", "left": {"label": "b"}, "children": [{"label": "c", "children": [{"label": "d"}]}]}
NESTED: dict[str, Any] = {
    "tree": TREE,
    "page": {"items": [{"radius": 1.0}], "next_page": 2},
    "derived": {"id": KEY, "note": "n"},
    "point": {"x": 1},
    "options": {"depth": 1, "label": "l"},
    "opened": {"known": 1},
    "blob": {"data": b"\xff\xfe\xfb"},
    "priority": 10,
}
DEFAULTS: dict[str, Any] = {
    "on": False,
    "whole": 7,
    "something": 6,
    "color": "red",
    "names": ["n"],
    "counts": {"b": 2},
    "key": KEY,
    "infinite": 2.5,
    "span": dt.timedelta(microseconds=1),
}
ALIASES: dict[str, Any] = {"userId": "u", "x-dashed name": "d", "class": "c", "list": [1], "json": 5}
FILLED: dict[str, Any] = {
    "letters": ["y"],
    "by_letter": {"b": "y"},
    "numbers": {2},
    "either": ["b", 2],
    "perhaps": None,
    "colors": ["dark-blue", 2],
    "named": "second",
    "rights": 2,
    "share": "all",
    "pathed": 3,
}
VALUES = {
    "types.filled": FILLED,
    "types.scalars": SCALARS,
    "types.containers": CONTAINERS,
    "types.unions": UNIONS,
    "types.nested": NESTED,
    "types.aliases": ALIASES,
}


def model(found: type[BaseModel] | None) -> type[BaseModel]:
    assert found is not None
    return found


def params_of(name: str, values: Any) -> BaseModel:
    return model(SERVER[name].params_model).model_validate(values)


def sent(value: BaseModel) -> Any:
    """As the server sends it."""
    return json.loads(value.model_dump_json(by_alias=True))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    root = tmp_path_factory.mktemp("python")
    write_language("python", root)
    sys.path.insert(0, str(root))
    yield importlib.import_module("client_types")
    sys.path.remove(str(root))


class Echo:
    """In place of a connection: notes what is sent, and answers with what it was given."""

    def __init__(self, reply: Any = None) -> None:
        self.reply = reply
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []

    async def call(self, method: str, params: Any, **options: Any) -> Any:
        self.calls.append((method, params, options))
        return params if self.reply is None else self.reply


def names_in(client: ModuleType, wire: str) -> tuple[Any, type[BaseModel]]:
    """The client's method, and its parameters' model."""
    label = wire.replace(".", "_")
    method = getattr(client.APIClient, label)
    return method, getattr(client.models, method.__annotations__["params"])


@pytest.mark.parametrize("wire", sorted(VALUES))
async def test_python_returns_what_the_server_sent(client: ModuleType, wire: str) -> None:
    value = params_of(wire, VALUES[wire])
    method, params_model = names_in(client, wire)

    rpc = Echo(sent(value))
    result = await method(client.APIClient(rpc), params_model.model_validate(sent_params(value)))

    assert params_of(wire, result.model_dump(mode="json", by_alias=True)) == value
    assert params_of(wire, rpc.calls[0][1]) == value


def sent_params(value: BaseModel) -> Any:
    """Without what is in results only."""
    return {key: found for key, found in sent(value).items() if key != "shown"}


async def test_python_leaves_out_what_the_caller_left_out(client: ModuleType) -> None:
    rpc = Echo({**sent(params_of("types.defaults", DEFAULTS))})
    params = client.models.DefaultsInput(on=False)
    params.counts["z"] = 26

    await client.APIClient(rpc).types_defaults(params, timeout=1.5, transport="rpc")

    ((wire, body, options),) = rpc.calls
    assert wire == "types.defaults"
    assert body["on"] is False
    assert body["counts"] == {"a": 1, "z": 26}
    assert not {"text", "whole", "key", "infinite", "price"} & body.keys()
    assert options == {"timeout": 1.5, "transport": "rpc"}
    assert params_of(wire, body).model_dump()["whole"] == 3


async def test_python_sends_the_tag_of_a_variant_that_the_caller_left_out(client: ModuleType) -> None:
    found = client.models.PetInput(client.models.CatInput(lives=1))
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == {"kind": "cat", "lives": 1}


async def test_python_takes_news_from_the_server(client: ModuleType) -> None:
    reply = {**sent(params_of("types.nested", NESTED)), "brand_new": [1], "priority": 99}
    params = client.models.NestedInput.model_validate(sent(params_of("types.nested", NESTED)))

    result = await client.APIClient(Echo(reply)).types_nested(params)

    assert result.priority == 99
    assert result.brand_new == [1]
    assert client.models.Color("green") == "green"


async def test_python_reports_a_result_that_does_not_fit_as_an_rpc_error(client: ModuleType) -> None:
    with pytest.raises(client.RPCError, match=r"types\.root") as raised:
        await client.APIClient(Echo({"kind": "fish"})).types_root(client.models.Tags(["a"]))
    assert raised.value.code == client.RPCErrorCode.VALIDATION_ERROR


GO_MAIN = """
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	client "clients/go/client_types"
)

var types = map[string]func() any{
%s
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var job struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			panic(err)
		}
		value := types[job.Type]()
		if err := json.Unmarshal(job.Data, value); err != nil {
			panic(fmt.Sprint(job.Type, ": ", err))
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(fmt.Sprint(job.Type, ": ", err))
		}
		fmt.Println(string(encoded))
	}
}
"""
GO_TYPES = [
    "Scalars",
    "Containers",
    "Unions",
    "UnionsInput",
    "Nested",
    "NestedInput",
    "Aliases",
    "AliasesInput",
    "DefaultsInput",
    "Pet",
    "Json",
    "CatInput",
]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("go")
    root = tmp_path_factory.mktemp("go")
    write_go_module(root)
    (root / "echo").mkdir()
    entries = "\n".join(f'\t"{name}": func() any {{ return new(client.{name}) }},' for name in GO_TYPES)
    (root / "echo" / "main.go").write_text(GO_MAIN % entries)
    run([tool("go"), "build", "-o", "echo.exe", "./echo"], cwd=root)
    return root / "echo.exe"


def through_go(program: Path, *jobs: tuple[str, Any]) -> list[Any]:
    lines = "".join(json.dumps({"Type": name, "Data": data}) + "\n" for name, data in jobs)
    return [json.loads(line) for line in run([str(program)], cwd=program.parent, stdin=lines).splitlines()]


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("types.scalars", "Scalars"),
        ("types.containers", "Containers"),
        ("types.unions", "Unions"),
        ("types.unions", "UnionsInput"),
        ("types.nested", "Nested"),
        ("types.nested", "NestedInput"),
        ("types.aliases", "Aliases"),
        ("types.aliases", "AliasesInput"),
    ],
)
def test_go_returns_what_the_server_sent(go: Path, wire: str, name: str) -> None:
    values = VALUES[wire]
    if wire == "types.scalars":  # read as UTC, because a time of Go always has an offset
        values = {**values, "moments": values["moments"][1:]}
    if name == "UnionsInput":  # a value that is not zero, which would be left out
        values = {**values, "pet": {"kind": "dog", "good": True}}
    value = params_of(wire, values)

    (returned,) = through_go(go, (name, sent(value)))

    assert params_of(wire, returned) == value


def test_go_reads_times_without_an_offset_as_utc(go: Path) -> None:
    value = sent(params_of("types.scalars", {**SCALARS, "moment": dt.datetime(2024, 1, 2, 3, 4, 5)}))

    (returned,) = through_go(go, ("Scalars", value))

    assert returned["moment"] == "2024-01-02T03:04:05Z"
    assert returned["moments"] == ["0001-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]
    assert returned["naive"] == "2024-02-29T01:02:03.000004"


def test_go_leaves_out_what_has_a_default_and_sends_no_null_for_an_empty_list(go: Path) -> None:
    defaults, containers, aliases = through_go(
        go, ("DefaultsInput", {}), ("Containers", {}), ("AliasesInput", {"userId": "u"})
    )

    assert defaults == {"nothing": None}
    assert containers["names"] == containers["grid"] == containers["tags"] == []
    assert containers["by_number"] == {}
    assert aliases == {"userId": "u", "class": "", "json": None}


def test_go_fills_in_tags_and_keeps_variants_that_it_does_not_know(go: Path) -> None:
    fish = {"kind": "fish", "fins": 2}
    results = through_go(go, ("CatInput", {"lives": 1}), ("Pet", fish), ("Pet", None))

    assert results == [{"kind": "cat", "lives": 1}, fish, None]


@pytest.mark.parametrize("value", [1.5, "a", True, None, [1, "b"], {"a": {"b": [None]}}])
def test_go_reads_a_union_that_contains_itself(go: Path, value: Any) -> None:
    assert through_go(go, ("Json", value)) == [value]
