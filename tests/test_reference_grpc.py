"""The reference page of the gRPC part says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from django.core.management import load_command_class

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from tests.documents.markdown import anchors
from tests.test_reference_redis import kind, rows

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "grpc-settings.md"
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
