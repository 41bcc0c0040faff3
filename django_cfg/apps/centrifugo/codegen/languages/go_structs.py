"""Pure: models as structs of Go: fields aligned as gofmt aligns them, and what encoding and decoding has to mend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django_cfg.apps.centrifugo.codegen.emit import Code, code
from django_cfg.apps.centrifugo.codegen.escape import go_comment, go_string, go_tag, name
from django_cfg.apps.centrifugo.codegen.ir import NO_DEFAULT, Field, Literal, Model, Nullable
from django_cfg.apps.centrifugo.codegen.languages.go_types import GoTypes
from django_cfg.apps.centrifugo.codegen.names import capitalize, field_names, pascal
from django_cfg.errors import GenerationError

__all__ = ["Row", "Struct", "aligned", "labels_of", "struct"]

_FIELD_RESERVED = frozenset({"ForceSendFields", "MarshalJSON", "UnmarshalJSON"})


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a struct before alignment."""

    comment: Code
    name: Code
    type: Code
    tag: Code


@dataclass(frozen=True, slots=True)
class Forced:
    """A field that is left out when it is zero, though its default is another; `key` begins its entry in a map."""

    key: Code
    label: Code
    wire: Code


@dataclass(frozen=True, slots=True)
class Struct:
    """`constants` and `empties` are statements' two halves: what is set when it is zero, and to what."""

    name: Code
    comment: Code
    lines: tuple[Code, ...]
    constants: tuple[tuple[Code, Code, Code], ...]
    empties: tuple[tuple[Code, Code], ...]
    forced: tuple[Forced, ...]
    times: tuple[Code, ...]


def struct(model: Model, types: GoTypes) -> Struct:
    labels = labels_of(model)
    forced = _forced(model, labels)
    rows = [_row(field, labels[field.wire_name], types, forced) for field in model.fields]
    if forced:
        about = go_comment("ForceSendFields names fields that are sent although they are zero.", 1)
        rows.append(Row(about, Code("ForceSendFields"), Code("[]string"), Code('`json:"-"`')))
    times = (field for field in model.fields if model.in_results and types.holds_times(field.type))
    return Struct(
        name=name(model.name),
        comment=go_comment(model.description, 0) if model.description.strip() else Code(""),
        lines=aligned(rows),
        constants=tuple(_constants(model, labels)) if model.in_params else (),
        empties=tuple(_empties(model, labels, types)) if model.in_params else (),
        forced=forced,
        times=tuple(go_string(field.wire_name) for field in times),
    )


def _forced(model: Model, labels: Mapping[str, str]) -> tuple[Forced, ...]:
    found = [f for f in model.fields if model.in_params and _omitted(f) and not _zero_is_default(f)]
    width = max((len(labels[f.wire_name]) for f in found), default=0)
    return tuple(
        Forced(
            key=code('"{}":{}{{', name(labels[f.wire_name]), Code(" " * (width - len(labels[f.wire_name]) + 1))),
            label=name(labels[f.wire_name]),
            wire=go_string(f.wire_name),
        )
        for f in found
    )


def labels_of(model: Model) -> dict[str, str]:
    """By wire name: the field's name in Go."""
    return field_names({f.wire_name: f.py_name for f in model.fields}, reserved=_FIELD_RESERVED, convert=_exported)


def _exported(label: str) -> str:
    made = pascal(label)
    return made if made[:1].isalpha() else f"Field{capitalize(made)}"


def _omitted(field: Field) -> bool:
    """Not for a default of null, which is what nil encodes as."""
    return not field.required and field.default is not None


def _zero_is_default(field: Field) -> bool:
    return field.default in ("", 0, [], {}) and not isinstance(field.type, Nullable)


def _row(field: Field, label: str, types: GoTypes, forced: Sequence[Forced]) -> Row:
    lines = [field.description.strip()] if field.description.strip() else []
    if any(found.label == label for found in forced):
        known = "" if field.default is NO_DEFAULT else f" ({json.dumps(field.default)})"
        lines.append(f"Left out when zero, for the server's default{known}; see ForceSendFields.")
    if field.deprecated:
        lines.extend(["", "Deprecated: the server says so."] if lines else ["Deprecated: the server says so."])
    try:
        tag = go_tag(field.wire_name, ",omitzero" if _omitted(field) else "")
    except ValueError as error:
        raise GenerationError(f"the field {field.py_name!r}: {error}; choose another alias") from error
    comment = go_comment("\n".join(lines), 1) if lines else Code("")
    return Row(comment, name(label), types.write(field.type), tag)


def aligned(rows: Sequence[Row]) -> tuple[Code, ...]:
    """gofmt aligns fields that follow one another; a comment between two ends a run."""
    lines: list[Code] = []
    for run in _runs(rows):
        names = max(len(row.name) for row in run)
        types = max(len(row.type) for row in run)
        for row in run:
            lines.extend([row.comment] if row.comment else [])
            line = code("{} {} {}", Code(row.name.ljust(names)), Code(row.type.ljust(types)), row.tag)
            lines.append(Code(line.rstrip()))
    return tuple(lines)


def _runs(rows: Sequence[Row]) -> Iterable[list[Row]]:
    run: list[Row] = []
    for row in rows:
        if row.comment and run:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _constants(model: Model, labels: Mapping[str, str]) -> Iterable[tuple[Code, Code, Code]]:
    """Field, its zero, and the only value that it can have."""
    for field in model.fields:
        if isinstance(field.type, Literal) and len(field.type.values) == 1 and field.required:
            only = field.type.values[0]
            if isinstance(only, str) and only:
                yield name(labels[field.wire_name]), go_string(""), go_string(only)
            elif isinstance(only, int) and not isinstance(only, bool) and only:
                yield name(labels[field.wire_name]), Code("0"), Code(str(only))


def _empties(model: Model, labels: Mapping[str, str], types: GoTypes) -> Iterable[tuple[Code, Code]]:
    """Lists and maps that the server wants to be there: nil would be sent as null."""
    for field in model.fields:
        if field.required and types.is_collection(field.type):
            yield name(labels[field.wire_name]), code("{}{{}}", types.write(field.type))
