"""Text that is safe to emit, and the templates, which refuse any other.

Everything from the project's source (names, descriptions, defaults, wire names) passes one function of `escape` on its
way into generated code. A value that did not is plain `str`, and a template that prints it raises instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["Code", "code", "join", "render"]


class Code(str):
    """Source code of one language: escaped, or written by us."""

    __slots__ = ()


def code(text: LiteralString, *parts: Code) -> Code:
    """Our own text with `{}` for each part."""
    for part in parts:
        _require_code(part)
    return Code(text.format(*parts))


def join(separator: LiteralString, parts: Iterable[Code]) -> Code:
    return Code(separator.join(_require_code(part) for part in parts))


def render(template: LiteralString, values: Mapping[str, Any]) -> str:
    """The text of a template, ending in one line break."""
    return _environment.get_template(template).render(values).rstrip("\n") + "\n"


def _require_code(value: Any) -> Any:
    if not isinstance(value, Code):
        raise TypeError(f"{str(value)!r} would be emitted without having been escaped")
    return value


_environment = Environment(
    loader=PackageLoader("django_cfg.apps.centrifugo.codegen", "templates"),
    autoescape=False,  # noqa: S701  # HTML escapes would spoil source code; `finalize` demands each language's own
    undefined=StrictUndefined,
    finalize=_require_code,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
