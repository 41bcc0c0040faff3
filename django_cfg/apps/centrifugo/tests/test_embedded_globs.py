"""Patterns of channel names and origins."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_cfg.apps.centrifugo.embedded.config import load_config
from django_cfg.apps.centrifugo.embedded.globs import compile_glob
from django_cfg.apps.centrifugo.embedded.origins import origin_allowed
from django_cfg.errors import ConfigurationError


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("user#*", "user#42", True),
        ("*#42", "a:b#42\n", False),
        ("{a,b*}:x", "bcd:x", True),
        ("{a,b}:x", "c:x", False),
        ("{a,{b,c}}", "c", True),
        ("a,b", "a,b", True),
        ("[!a]x", "bx", True),
        ("[!a]x", "ax", False),
        ("[^a]x", "^x", True),
        ("[a-c]?", "b.", True),
        (r"\*", "*", True),
        (r"\*", "x", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert bool(compile_glob(pattern).fullmatch(name)) == fits


@pytest.mark.parametrize("pattern", ["{a", "a}", "[a", "a\\", "[z-a]", "}{"])
def test_no_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no pattern"):
        compile_glob(pattern)
    with pytest.raises(ConfigurationError, match="allowed_origins"):
        load_config({"client": {"allowed_origins": [pattern]}})


@given(st.text("ab*?."), st.text("ab.\n"))
def test_simple_wildcards_are_those_of_file_names(pattern: str, name: str) -> None:
    assert bool(compile_glob(pattern).fullmatch(name)) == fnmatchcase(name, pattern)


def test_origins_are_patterns_too() -> None:
    assert origin_allowed("https://B.test", "", ["https://{a,b}.test"])
    assert not origin_allowed("https://c.test", "", ["https://{a,b}.test"])
