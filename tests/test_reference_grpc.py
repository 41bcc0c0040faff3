"""The reference page of the gRPC part says what the code says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from django.core.management import load_command_class

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.services.streaming import (
    BidirectionalStreamingConfig,
    BidirectionalStreamingService,
    ConfigPresets,
)
from tests.documents.markdown import anchors
from tests.test_reference_redis import kind, rows

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "grpc-settings.md"
SERVICE_PAGE = ROOT / "docs" / "reference" / "streaming-service.md"
PART = ROOT / "django_cfg" / "apps" / "integrations" / "grpc"


def test_settings_page_lists_every_option() -> None:
    listed = [row for row in rows(PAGE.read_text("utf-8")) if len(row) == 4]
    properties = GRPCConfig.model_json_schema()["properties"]

    assert listed == [
        [
            f"`{name}`",
            kind(properties[name]),
            f"`{field.get_default(call_default_factory=True)!r}`",
            str(field.description),
        ]
        for name, field in GRPCConfig.model_fields.items()
    ]


def test_settings_page_lists_every_check() -> None:
    listed = [row[0].strip("`") for row in rows(PAGE.read_text("utf-8")) if len(row) == 3]
    assert listed == sorted(set(re.findall(r"[EW]\d{3}(?=\")", (PART / "checks.py").read_text("utf-8"))))
    assert "system-checks" in anchors(PAGE)


def test_settings_page_lists_every_option_of_the_commands() -> None:
    text = PAGE.read_text("utf-8")
    inherited = {
        action.dest for action in load_command_class("django.core", "sqlflush").create_parser("", "sqlflush")._actions
    }
    for path in (PART / "management" / "commands").glob("[a-z]*.py"):
        section = re.search(rf"^### {path.stem}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
        assert section is not None, f"{path.stem} has no section"
        parser = load_command_class("django_cfg.apps.integrations.grpc", path.stem).create_parser("manage.py", "")
        for action in parser._actions:
            for option in action.option_strings or [str(action.metavar or action.dest).upper()]:
                assert action.dest in inherited or option in section[1], f"{path.stem}: {option} is not described"


def test_service_page_lists_every_option() -> None:
    listed = [row for row in rows(SERVICE_PAGE.read_text("utf-8")) if len(row) == 4]
    schema = BidirectionalStreamingConfig.model_json_schema()
    defaults = BidirectionalStreamingConfig().model_dump(mode="json")

    def shown(name: str) -> str:
        found = schema["properties"][name]
        return kind(schema["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found)

    assert listed == [
        [f"`{name}`", shown(name), f"`{defaults[name]!r}`", str(field.description)]
        for name, field in BidirectionalStreamingConfig.model_fields.items()
    ]


def test_service_page_says_what_each_preset_sets() -> None:
    listed = {row[0].strip("`"): row[1:] for row in rows(SERVICE_PAGE.read_text("utf-8")) if len(row) == 5}
    presets = {name: value for name, value in vars(ConfigPresets).items() if name.isupper()}
    assert listed.keys() == presets.keys()
    for name, preset in presets.items():
        pings, silence, queue, beside = listed[name]
        enabled = preset.is_ping_enabled()
        assert pings == preset.ping_strategy + (f" {preset.ping_interval:g}" if enabled else "")
        assert silence == (f"{preset.get_effective_ping_timeout():g}" if enabled else "never ends it")
        assert queue == str(preset.max_queue_size)
        assert ("logs nothing" in beside) is not preset.enable_logging
        assert ("tolerates" in beside) is (preset.max_consecutive_errors != 3)


def test_service_page_lists_every_argument() -> None:
    listed = [row[0].strip("`") for row in rows(SERVICE_PAGE.read_text("utf-8")) if len(row) == 3]
    assert listed == [name for name in inspect.signature(BidirectionalStreamingService).parameters if name != "config"]
