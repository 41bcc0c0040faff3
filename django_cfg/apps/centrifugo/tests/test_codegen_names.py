"""Names: cases, reserved words, and what happens when two become one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_cfg.apps.centrifugo.codegen import reserved
from django_cfg.apps.centrifugo.codegen.names import camel, field_names, identifier, method_names, pascal

RUNTIME = Path(__file__).parents[1] / "codegen" / "runtime"


@pytest.mark.parametrize(
    ("wire", "python", "typescript", "go"),
    [
        ("tasks.get_stats", "tasks_get_stats", "tasksGetStats", "TasksGetStats"),
        ("users.v2.get", "users_v2_get", "usersV2Get", "UsersV2Get"),
        ("list-all", "list_all", "listAll", "ListAll"),
        ("getStats", "getStats", "getStats", "GetStats"),
        ("_private", "private", "private", "Private"),
        ("connect", "connect_method", "connectMethod", "ConnectMethod"),
        ("dis_connect", "dis_connect_method", "disConnectMethod", "DisConnectMethod"),
        ("class", "class_method", "classMethod", "ClassMethod"),
        ("9lives", "method_9lives", "method9lives", "Method9lives"),
    ],
)
def test_a_method_has_a_name_in_every_language(wire: str, python: str, typescript: str, go: str) -> None:
    names, _ = method_names([wire])
    assert (names[wire].python, names[wire].typescript, names[wire].go) == (python, typescript, go)


@pytest.mark.parametrize(
    "pair", [("tasks.get_stats", "tasks_get.stats"), ("a.b_c", "aB.c"), ("x.y", "X.y"), ("a-b", "a.b")]
)
def test_names_that_become_one_all_get_a_suffix_that_does_not_depend_on_the_other(pair: tuple[str, str]) -> None:
    names, warnings = method_names(pair)
    again, _ = method_names([*reversed(pair), "other"])

    for language in ("python", "typescript", "go"):
        assert len({getattr(names[wire], language) for wire in pair}) == 2
    assert all(re.search("x[0-9a-f]{6}$", names[wire].python) for wire in pair)
    assert [names[wire] for wire in pair] == [again[wire] for wire in pair]
    assert len(warnings) == 2
    assert all(repr(wire) in " ".join(warnings) for wire in pair)


def test_a_reserved_name_is_told() -> None:
    _, warnings = method_names(["connect", "tasks.list"])
    assert warnings == ["'connect' is a reserved name: it is called connect_method in the clients"]


@pytest.mark.parametrize(
    ("name", "expected"), [("user_id", "UserId"), ("StreamId", "StreamId"), ("x-dashed", "XDashed")]
)
def test_pascal(name: str, expected: str) -> None:
    assert pascal(name) == expected
    assert camel(name) == expected[0].lower() + expected[1:]


@pytest.mark.parametrize(
    ("name", "expected"), [("class", "class_"), ("class_", "class_"), ("1st", "field_1st"), ("_id", "id")]
)
def test_identifier(name: str, expected: str) -> None:
    assert identifier(name) == expected


def test_fields_that_become_one_are_told_apart_and_exact_names_stay() -> None:
    assert field_names({"_id": "_id", "id": "id", "ID": "i-d", "copy": "copy"}, reserved={"copy"}) == {
        "_id": "id_",
        "id": "id",
        "ID": "i_d",
        "copy": "copy_",
    }


def test_everything_that_the_go_client_exports_is_reserved() -> None:
    source = (RUNTIME / "go/rpc_client.go").read_text()
    declared = re.findall(r"^(?:func|type|var|const) ([A-Z]\w*)", source, re.MULTILINE)
    constants = re.findall(r"^\t([A-Z]\w*) +\w* *= ", source, re.MULTILINE)
    methods = re.findall(r"^func \(c \*CentrifugoRPCClient\) ([A-Z]\w*)", source, re.MULTILINE)

    assert {"CentrifugoRPCClient", "Connect"} <= {*declared, *methods}
    assert {*declared, *constants} <= reserved.TYPES
    assert {name.lower() for name in methods} <= reserved.METHODS


def test_everything_that_the_typescript_client_exports_is_reserved() -> None:
    source = (RUNTIME / "typescript/rpc-client.ts").read_text()
    exported = re.findall(
        r"^export (?:type|interface|class|function|const|enum) ([A-Z][a-z]\w*|[A-Z]+[a-z]\w*)", source, re.MULTILINE
    )

    assert "CentrifugoRPCClient" in exported
    assert set(exported) <= reserved.TYPES
