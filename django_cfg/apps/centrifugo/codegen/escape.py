"""Pure: the one place per language where text of the project becomes source code.

Literals hold any text unchanged. Comments lose control characters and bidirectional overrides, are split at every line
break that Unicode knows, and cannot end their comment or begin a directive.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code

__all__ = [
    "go_comment",
    "go_string",
    "go_tag",
    "json_text",
    "markdown",
    "name",
    "python_docstring",
    "python_literal",
    "typescript_comment",
    "typescript_key",
    "typescript_literal",
]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GO_TAG_SIGNS = frozenset("!#$%&()*+-./:;<=>?@[]^_{|}~ ")


def name(identifier: str) -> Code:
    """An identifier of any of the languages; raises ValueError for what is none."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"{identifier!r} is not an identifier")
    return Code(identifier)


def python_literal(value: Any) -> Code:
    """A JSON scalar, or a list or dict of them, in ASCII."""
    written = ascii(value)
    plain = isinstance(value, str) and written[0] == "'" and '"' not in written
    return Code(f'"{written[1:-1]}"' if plain else written)


def python_docstring(text: str, indent: int) -> Code:
    """A whole docstring with its quotes; the lines after the first stand `indent` columns to the right."""
    lines = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in _lines(text)]
    if len(lines) == 1:
        return Code(f'"""{_closable(lines[0])}"""')
    pad = " " * indent
    body = "\n".join(f"{pad}{line}" if line else "" for line in lines[1:])
    return Code(f'"""{_space_quote(lines[0])}\n{body}\n{pad}"""')


def typescript_literal(value: Any) -> Code:
    """A JSON value; every character beyond ASCII is escaped, so U+2028 is no line break."""
    return Code(json.dumps(value, ensure_ascii=True, allow_nan=False))


def typescript_key(key: str) -> Code:
    """A property name: bare where it is an identifier."""
    return Code(key) if _IDENTIFIER.fullmatch(key) and key != "__proto__" else typescript_literal(key)


def typescript_comment(text: str, indent: int) -> Code:
    """A whole JSDoc comment."""
    lines = [_typescript_line(line) for line in _lines(text)]
    if len(lines) == 1:
        return Code(f"/** {lines[0]} */")
    pad = " " * indent
    body = "\n".join(f"{pad} * {line}".rstrip() for line in lines)
    return Code(f"/**\n{body}\n{pad} */")


def go_string(text: str) -> Code:
    """An interpreted string literal, in ASCII."""
    return Code('"' + "".join(_go_character(character) for character in text) + '"')


def go_tag(wire_name: str, options: str = "") -> Code:
    """A struct tag; raises ValueError for a name that encoding/json cannot take from a tag."""
    if wire_name in ("", "-") or not all(map(_fits_go_tag, wire_name)):
        raise ValueError(f"{wire_name!r} cannot stand in a struct tag of Go")
    return Code(f'`json:"{wire_name}{options}"`')


def go_comment(text: str, indent: int) -> Code:
    """Lines of `// text`, indented with tabs; gofmt leaves them as they are."""
    pad = "\t" * indent
    lines = [_go_line(line.strip()) for line in _lines(text)]
    return Code(f"\n{pad}".join(f"// {line}".rstrip() for line in lines))


def markdown(text: str) -> Code:
    """A description inside a page: its own Markdown works, HTML, headings and fences in it do not."""
    lines = [re.sub(r"^(\s*)(#|```|~~~|={3,}|-{3,})", r"\1\\\2", line) for line in _lines(text)]
    return Code(re.sub(r"<(?=[A-Za-z/!?])", r"\\<", "\n".join(lines)))


def json_text(value: Any) -> Code:
    """A JSON document, indented by two."""
    return Code(json.dumps(value, ensure_ascii=True, allow_nan=False, indent=2))


def _lines(text: str) -> list[str]:
    """Without blank lines at the ends; at least one line."""
    lines = ["".join(c for c in line.expandtabs(4) if _printable(c)).rstrip() for line in text.splitlines()]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines or [""]


def _printable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or character == "\u200d"


def _space_quote(line: str) -> str:
    return f" {line}" if line.startswith('"') else line


def _closable(line: str) -> str:
    line = _space_quote(line)
    return f"{line} " if line.endswith('"') else line


def _typescript_line(line: str) -> str:
    return re.sub(r"@+(?=ts-)|^/+(?=//)", "", line.replace("*/", "*\\/"))


def _fits_go_tag(character: str) -> bool:
    return character in _GO_TAG_SIGNS or unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")


def _go_line(line: str) -> str:
    """Link definitions would be moved by gofmt, and a build constraint here is an error of go vet."""
    return re.sub(r"^\++(?=build\b)", "", re.sub(r"^\[([^\]]*)\]:", r"[\1] :", line))


def _go_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return "\\uFFFD"
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"
