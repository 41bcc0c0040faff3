"""Pure: JSON values as Go would write them, for examples."""

from __future__ import annotations

from typing import Any

from django_cfg.apps.centrifugo.codegen.emit import Code, code, join
from django_cfg.apps.centrifugo.codegen.escape import go_string, name
from django_cfg.apps.centrifugo.codegen.ir import Api, Enum, Kind, List, Literal, Ref, Scalar, Type

__all__ = ["value"]

_TEXTS = frozenset({Kind.STRING, Kind.TIME, Kind.UUID, Kind.DECIMAL, Kind.BYTES})


def value(api: Api, of: Type, found: Any) -> Code | None:
    """None where there is no short expression: an example leaves such a field out."""
    match of:
        case Scalar(kind) if kind in _TEXTS:
            return go_string(found)
        case Scalar(Kind.INT | Kind.FLOAT | Kind.BOOL) | Literal():
            return go_string(found) if isinstance(found, str) else Code(str(found).lower())
        case Ref(target) if isinstance(api.by_name[target], Enum):
            written = go_string(found) if isinstance(found, str) else Code(str(found))
            return code("client.{}({})", name(target), written)
        case List(Scalar(Kind.STRING)):
            return code("[]string{{{}}}", join(", ", map(go_string, found)))
        case _:
            return None
