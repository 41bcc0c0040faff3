"""Text of the project in source code: it means itself, and cannot leave its place."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from django_cfg.apps.centrifugo.codegen import escape
from django_cfg.apps.centrifugo.codegen.emit import Code, code, join, render

TEXTS = st.text(st.characters(codec=None, categories=("L", "N", "P", "S", "Z", "C")), max_size=40) | st.sampled_from(
    [
        "*/",
        '"""',
        "'''",
        "\\",
        '\\"',
        "${x}",
        "`",
        "//go:generate x",
        "\u202e",
        "\x00",
        "\u2028x",
        "\r\n//x",
        "+build x",
        "++build x",
        "@@ts-ignore",
        "//// <reference path='x' />",
    ]
)


@given(TEXTS)
def test_a_python_literal_is_the_text(text: str) -> None:
    literal = escape.python_literal(text)
    assert ast.literal_eval(literal) == text
    assert literal.isascii()


@given(TEXTS)
def test_a_typescript_literal_is_the_text_on_one_line_of_ascii(text: str) -> None:
    literal = escape.typescript_literal(text)
    assert json.loads(literal) == text
    assert literal.isascii()
    assert literal.isprintable()


@given(TEXTS)
def test_a_go_string_is_the_text_by_the_rules_of_go(text: str) -> None:
    literal = escape.go_string(text)
    assert re.fullmatch(r'"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\["\\]|\\u[0-9A-F]{4}|\\U[0-9A-F]{8})*"', literal)
    points = (point.group() for point in re.finditer(r"\\U.{8}|\\u.{4}|\\.|[^\\]", literal[1:-1]))
    meant = "".join(chr(int(p[2:], 16)) if p[:2] in ("\\u", "\\U") else p[-1] for p in points)
    assert meant == "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


@given(st.lists(TEXTS, max_size=5).map("\n".join))
def test_a_docstring_is_one_string_expression(text: str) -> None:
    tree = ast.parse(f"def f():\n    {escape.python_docstring(text, indent=4)}\n")
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    (statement,) = function.body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)


@given(st.lists(TEXTS, max_size=5).map("\n".join))
def test_a_typescript_comment_ends_where_it_should(text: str) -> None:
    comment = escape.typescript_comment(text, indent=2)
    assert comment.startswith("/**")
    assert comment.find("*/") == len(comment) - 2
    assert "@ts-" not in comment


@given(st.lists(TEXTS, max_size=5).map("\n".join))
def test_every_line_of_a_go_comment_is_a_comment_and_no_directive(text: str) -> None:
    for line in escape.go_comment(text, indent=1).splitlines():
        assert re.fullmatch(r"\t?//( \S.*)?", line)
        assert not line.strip().startswith("// +build")


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\u202e", "\u2066", "\ufeff", "\u2028", "\x85"])
def test_comments_hold_no_control_characters(character: str) -> None:
    for comment in (escape.go_comment, escape.typescript_comment, escape.python_docstring):
        assert character not in comment(f"a{character}b", 0)


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "a\n", "ü", "a;b"])
def test_what_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        escape.name(name)


@pytest.mark.parametrize("wire", ["", "-", 'a"b', "a`b", "a\\b", "a,b", "a'b", "a\nb"])
def test_what_no_struct_tag_can_hold_is_refused(wire: str) -> None:
    with pytest.raises(ValueError, match="struct tag"):
        escape.go_tag(wire)


@pytest.mark.parametrize("key", ["x-dashed", "", "1a", "__proto__", 'a"b', "a b"])
def test_odd_property_names_are_quoted(key: str) -> None:
    assert json.loads(escape.typescript_key(key)) == key


def test_markdown_keeps_its_signs_but_no_html_heading_or_fence() -> None:
    assert escape.markdown("*a* `b`\n# c\n```\n<script> a < b") == "*a* `b`\n\\# c\n\\```\n\\<script> a < b"


@pytest.mark.parametrize("value", ["plain", 1, None, object()])
def test_a_template_refuses_what_has_not_been_escaped(value: Any) -> None:
    with pytest.raises(TypeError, match="without having been escaped"):
        render("python/requirements.txt.j2", {"header": value})


def test_our_own_text_refuses_what_has_not_been_escaped() -> None:
    plain: Any = "plain"
    with pytest.raises(TypeError, match="escaped"):
        code("{}", plain)
    with pytest.raises(TypeError, match="escaped"):
        join(", ", [Code("a"), plain])


def test_a_template_refuses_a_name_that_nobody_defined() -> None:
    with pytest.raises(UndefinedError, match="header"):
        render("python/requirements.txt.j2", {})


@pytest.mark.parametrize("directive", ["@@ts-nocheck", "@@@ts-ignore x"])
def test_a_doubled_directive_is_none_either(directive: str) -> None:
    assert "@ts-" not in escape.typescript_comment(directive, 0)


def test_doubled_signs_make_no_directive() -> None:
    assert "///" not in escape.typescript_comment("//// <reference path='x' />", 0)
    assert "// +build" not in escape.go_comment("++build x", 0)
