from __future__ import annotations

import json
import stat
from io import StringIO
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_cfg.apps.centrifugo.conf import get_config
from django_cfg.apps.centrifugo.server_config import build_server_config

pytestmark = pytest.mark.usefixtures("development")


def run(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType] - as in tokens.py
        token, get_config().token_secret, algorithms=["HS256"]
    )
    return decoded


def test_a_token_and_nothing_else() -> None:
    out = run("centrifugo_token", "42", "--ttl", "5")
    assert out.count("\n") == 1
    found = claims(out.strip())
    assert (found["sub"], found["exp"] - found["iat"]) == ("42", 5)


@pytest.mark.parametrize("args", [("1,2",), ("42", "--ttl", "0"), ("",)])
def test_no_token(args: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("centrifugo_token", *args)


def test_the_config_is_printed() -> None:
    assert json.loads(run("generate_centrifugo_config")) == build_server_config()


def test_the_config_is_written_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert run("generate_centrifugo_config", "-o", str(path)) == ""
    assert json.loads(path.read_text()) == build_server_config()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_config_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("old")
    path.chmod(0o644)
    run("generate_centrifugo_config", "-o", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot write .*config\.json: No such file"):
        run("generate_centrifugo_config", "-o", str(tmp_path / "missing" / "config.json"))


@pytest.mark.parametrize(
    "command", [("centrifugo_token", "42"), ("generate_centrifugo_config",), ("centrifugo_worker",)]
)
def test_without_secrets_the_message_says_which(command: tuple[str, ...]) -> None:
    with (
        override_settings(DEBUG=False, CENTRIFUGO={"allowed_origins": []}),
        pytest.raises(CommandError, match="has no token_secret"),
    ):
        call_command(*command, stdout=StringIO())


def test_several_worker_processes_are_refused() -> None:
    with pytest.raises(CommandError, match="shared store"):
        run("centrifugo_worker", "--processes", "2")
