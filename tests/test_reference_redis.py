"""The reference pages of the Redis part say what the code says."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from django_cfg.models import websocket
from django_cfg.modules.django_rpc.client import WebSocketRPCClient
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from tests.documents.markdown import anchors

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
CLIENT_PAGE = REFERENCE / "redis-client.md"
SETTINGS, MODELS_PAGE = REFERENCE / "redis-settings.md", REFERENCE / "wire-models.md"
CHECKS = Path(__file__).parents[1] / "django_cfg" / "modules" / "django_rpc" / "checks.py"
MODELS: dict[str, type[BaseModel]] = {
    name: model
    for name in websocket.__all__
    if isinstance(model := getattr(websocket, name), type) and issubclass(model, BaseModel)
}
FORMATS = {"uuid": "UUID", "date-time": "time"}
FACTORIES = {"uuid4": "a new one", "now": "now"}


def rows(text: str) -> list[list[str]]:
    """Cells of the table rows whose first cell is code; a bar in a cell is escaped."""
    lines = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    return [[cell.replace(r"\|", "|") for cell in line.split(" | ")] for line in lines]


def limits(schema: dict[str, Any], low: str, high: str) -> str:
    """Such as `, 1 to 500` or `, from 0`."""
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return f", {least} to {most}"
    return f", from {least}" if least is not None else f", up to {most}" if most is not None else ""


def kind(schema: dict[str, Any]) -> str:
    """What stands in JSON, and its limits."""
    if "$ref" in schema:
        return f"`{str(schema['$ref']).rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "string" if "format" in schema:
            return str(FORMATS[schema["format"]])
        case "string":
            pattern = f", `{schema['pattern']}`" if "pattern" in schema else ""
            return "text" + limits(schema, "minLength", "maxLength") + pattern
        case "integer" | "number" as number:
            above = f", above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else ""
            return f"{number}{limits(schema, 'minimum', 'maximum')}{above}"
        case "array":
            return f"array of {kind(schema['items'])}" + limits(schema, "minItems", "maxItems")
        case None:
            return "any"
        case other:
            return str(other)


def default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return FACTORIES[field.default_factory.__name__]
    if field.default is PydanticUndefined:
        return "must be given"
    return f"`{json.dumps(field.default)}`"


def described(model: type[BaseModel]) -> list[list[str]]:
    properties = model.model_json_schema()["properties"]
    return [
        [f"`{name}`", kind(properties[name]), default(field), str(field.description)]
        for name, field in model.model_fields.items()
    ]


def section(text: str, heading: str) -> str:
    found = re.search(rf"^### {heading}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{heading} has no section"
    return found[1]


@pytest.mark.parametrize("name", MODELS)
def test_wire_models_page_lists_every_field(name: str) -> None:
    assert rows(section(MODELS_PAGE.read_text("utf-8"), name)) == described(MODELS[name])


def test_wire_models_page_lists_no_other_model() -> None:
    headings = re.findall(r"^### (\w+)$", MODELS_PAGE.read_text("utf-8"), re.MULTILINE)
    assert set(headings) == {*MODELS, "NotificationPriority", "RPCErrorCode"}
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("name", ["NotificationPriority"])
def test_wire_models_page_lists_every_value(name: str) -> None:
    assert re.findall(r"`(\w+)`", section(MODELS_PAGE.read_text("utf-8"), name)) == list(getattr(websocket, name))


def test_settings_page_lists_every_option() -> None:
    listed = [row for row in rows(SETTINGS.read_text("utf-8")) if len(row) == 4]
    properties = WebSocketRPCConfig.model_json_schema()["properties"]

    assert listed == [
        [f"`{name}`", kind(properties[name]), f"`{field.default!r}`", str(field.description)]
        for name, field in WebSocketRPCConfig.model_fields.items()
    ]


def test_settings_page_lists_every_check() -> None:
    listed = [row[0].strip("`") for row in rows(SETTINGS.read_text("utf-8")) if len(row) == 3]
    assert listed == sorted(set(re.findall(r"[EW]\d{3}(?=\")", CHECKS.read_text("utf-8"))))
    assert "system-checks" in anchors(SETTINGS)


def signatures() -> dict[str, str]:
    """Arguments by method, from the headings of the client's page."""
    headings = "".join(re.findall(r"^### .*$", CLIENT_PAGE.read_text("utf-8"), re.MULTILINE))
    return dict(re.findall(r"`(\w+)\((.*?)\)`", headings))


def test_the_client_s_page_lists_every_method() -> None:
    assert set(signatures()) == {name for name in vars(WebSocketRPCClient) if not name.startswith("_")}


@pytest.mark.parametrize("method", signatures())
def test_the_client_s_page_has_the_signature_of(method: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def documented(self, {signatures()[method]}): ...", scope)  # noqa: S102 - our own page
    documented = inspect.signature(scope["documented"]).parameters
    there = inspect.signature(getattr(WebSocketRPCClient, method)).parameters

    assert [(one.name, one.kind) for one in documented.values()] == [(one.name, one.kind) for one in there.values()]
    said = {name: one.default for name, one in documented.items() if one.default is not ...}
    assert said == {name: there[name].default for name in said}
