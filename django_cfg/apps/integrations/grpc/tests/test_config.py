from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.conf import settings
from django.test import override_settings

from django_cfg import DjangoConfig
from django_cfg.apps.integrations.grpc import checks, extra
from django_cfg.apps.integrations.grpc.channel_options import client_options, server_options
from django_cfg.apps.integrations.grpc.checks import check_configuration, check_deployment
from django_cfg.apps.integrations.grpc.conf import get_config
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.hosts import is_loopback
from django_cfg.apps.integrations.grpc.server import build_server
from django_cfg.errors import ConfigurationError
from django_cfg.rpc.secrets import derive_secret

SECRET = "a-secret-for-tests-of-more-than-32-characters"
PUBLIC = "0.0.0.0"  # noqa: S104 - nothing is bound


def test_the_parts_settings_are_one_key() -> None:
    config = DjangoConfig(grpc=GRPCConfig(port=50052, agent_tokens="required", token_secret=SECRET))
    assert config.to_django_settings() == {"GRPC": {"port": 50052, "agent_tokens": "required", "token_secret": SECRET}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prot": 1}, r"settings.GRPC: unknown key 'prot' \(did you mean 'port'\?\)"),
        ({"token_secret": "short"}, r"settings.GRPC\['token_secret'\]: a secret needs 32 characters or more"),
        ({"service_api_keys": ["short"]}, "an API key is 32 or more printable ASCII characters"),
        ({"service_api_keys": [SECRET + "\n"]}, "an API key is 32 or more printable ASCII characters"),
        ({"tls_key": "key.pem"}, "tls_certificate and tls_key belong together"),
        ({"client_certificate": "c.pem"}, "client_certificate and client_key belong together"),
        ({"client_ca": "ca.pem"}, "client_ca needs tls_certificate and tls_key"),
        ({"service_sans": ["web"]}, "service_sans needs client_ca"),
        ({"agent_tokens": "on"}, "agent_tokens"),
        ({"keepalive_seconds": 0}, "keepalive_seconds"),
        ({"host": "localhost:50051"}, r"settings.GRPC\['host'\]: it must be a name or an IP address alone"),
        ({"max_message_bytes": 2**32}, "max_message_bytes"),
        ({"max_agents": 2**32}, "max_agents"),
        ({"max_concurrent_streams": 2**32}, "max_concurrent_streams"),
        ({"keepalive_seconds": 1e9}, "keepalive_seconds"),
        ({"keepalive_timeout_seconds": 1e9}, "keepalive_timeout_seconds"),
        ({"client_keepalive_seconds": 1e9}, "client_keepalive_seconds"),
        ({"min_ping_interval_seconds": 1e9}, "min_ping_interval_seconds"),
        ([], "must be a dict, not list"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(given: Any, said: str) -> None:
    with override_settings(GRPC=given), pytest.raises(ConfigurationError, match=said) as error:
        get_config()
    assert "short" not in str(error.value)


def test_files_may_be_paths(tmp_path: Path) -> None:
    with override_settings(GRPC={"tls_certificate": tmp_path / "c.pem", "tls_key": tmp_path / "k.pem"}):
        assert get_config().tls_certificate == f"{tmp_path}/c.pem"


async def test_the_highest_limits_are_ones_that_grpc_takes() -> None:
    largest = GRPCConfig(
        max_message_bytes=2_000_000_000, max_agents=1_000_000, keepalive_seconds=2e6, client_keepalive_seconds=2e6
    )
    server = build_server(largest)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", client_options(largest)) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
    await server.stop(0)


def test_a_development_secret_exists_under_debug_only() -> None:
    with override_settings(DEBUG=True, GRPC={}):
        assert get_config().token_secret == derive_secret(settings.SECRET_KEY, "grpc:token_secret")
        assert get_config().reflection is True
    with override_settings(DEBUG=False, GRPC={}):
        assert get_config().token_secret == ""
        assert get_config().reflection is False
    with (
        override_settings(DEBUG=False, GRPC={"agent_tokens": "required"}),
        pytest.raises(ConfigurationError, match="has no token_secret"),
    ):
        get_config()


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(GRPCConfig(token_secret=SECRET, service_api_keys=[SECRET]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_only_this_machine_reaches_a_loopback_address(host: str) -> None:
    assert is_loopback(host)
    assert GRPCConfig().exposure_problem(host, debug=False) == ""


@pytest.mark.parametrize("host", [PUBLIC, "::", "10.0.0.1", "example.com"])
def test_an_open_server_is_for_this_machine_alone(host: str) -> None:
    assert "could pose as any agent" in GRPCConfig().exposure_problem(host, debug=False)
    assert "could pose" in GRPCConfig(service_api_keys=[SECRET]).exposure_problem(host, debug=False)
    assert GRPCConfig().exposure_problem(host, debug=True) == ""
    assert GRPCConfig(agent_tokens="required").exposure_problem(host, debug=False) == ""


def ids(debug: bool, given: dict[str, Any]) -> list[str]:
    with override_settings(DEBUG=debug, GRPC=given):
        found = [*check_configuration(None), *check_deployment(None)]
    assert all(message.hint for message in found)
    return [str(message.id).removeprefix("django_cfg_grpc.") for message in found]


TOKENS: dict[str, Any] = {"agent_tokens": "required", "token_secret": SECRET}


@pytest.mark.parametrize(
    ("debug", "given", "expected"),
    [
        (False, {}, []),
        (True, {}, []),
        (False, {"prot": 1}, ["E001"]),
        (False, {"agent_tokens": "required"}, ["E001"]),
        (False, {"tls_certificate": "/no/c.pem", "tls_key": "/no/k.pem"}, ["E003", "E003"]),
        (False, {"host": PUBLIC}, ["E004", "W010"]),
        (True, {"host": PUBLIC}, ["W004", "W010"]),
        (False, {"host": PUBLIC, **TOKENS}, ["W010"]),
        (False, {"host": PUBLIC, **TOKENS, "tls_certificate": __file__, "tls_key": __file__}, []),
        (False, {"client_ca": __file__, "tls_certificate": __file__, "tls_key": __file__}, ["W005"]),
        (False, {"client_keepalive_seconds": 5}, ["W006"]),
        (False, {"client_keepalive_seconds": 5, "min_ping_interval_seconds": 5}, []),
        (False, {"reflection": True}, ["W011"]),
    ],
)
def test_checks_say_what_is_missing(debug: bool, given: dict[str, Any], expected: list[str]) -> None:
    assert ids(debug, given) == expected


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "_PACKAGES", ("a_package_that_nobody_has",))
    monkeypatch.setattr(checks, "grpc_is_installed", extra.grpc_is_installed)
    assert ids(True, {}) == ["E002"]
    with pytest.raises(ConfigurationError, match=r'pip install "django-cfg-realtime\[grpc\]"'):
        extra.require_grpc()


@pytest.mark.parametrize(
    "needing_it",
    [
        "from django_cfg.apps.integrations.grpc.services.streaming import BidirectionalStreamingService",
        "import django_cfg.apps.integrations.grpc.services.commands.examples.start",
    ],
)
def test_importing_what_needs_grpc_says_so_also_where_an_import_hook_refuses_it(needing_it: str) -> None:
    code = (
        "import sys\n"
        "class Hook:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('google', 'grpc'): raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hook())\n"
        "from django_cfg.apps.integrations.grpc.services.streaming import ConfigPresets, OutboundQueue\n"
        f"{needing_it}\n"
    )
    root = Path(__file__).parents[5]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr.endswith(
        "ConfigurationError: streaming commands need gRPC, which is not installed: "
        'pip install "django-cfg-realtime[grpc]"\n'
    )


@pytest.mark.parametrize(
    ("given", "uses_tls"),
    [
        ({}, False),
        ({"server_ca": "ca.pem"}, True),
        ({"tls_server_name": "fleet.example"}, True),
        ({"client_certificate": "c.pem", "client_key": "k.pem"}, True),
        ({"tls_certificate": "c.pem", "tls_key": "k.pem"}, True),
    ],
)
def test_clients_that_are_told_anything_of_tls_use_it(given: dict[str, str], uses_tls: bool) -> None:
    """A process that only dials has no certificate of a server, and would send its token in the clear."""
    assert GRPCConfig.model_validate(given).uses_tls is uses_tls


def test_settings_checks_and_commands_need_no_grpc() -> None:
    """Every import of grpcio fails, as if it were not installed."""
    code = (
        "import sys; sys.modules['grpc'] = sys.modules['google.protobuf'] = None\n"
        "from django_cfg import DjangoConfig; DjangoConfig(grpc={'port': 1})\n"
        "import django_cfg.apps.integrations.grpc.checks, django_cfg.apps.integrations.grpc.channel_options\n"
        "import django_cfg.apps.integrations.grpc.tokens, django_cfg.apps.integrations.grpc.services.discovery\n"
        "for name in ('rungrpc', 'grpc_agents', 'grpc_token'):\n"
        "    __import__('django_cfg.apps.integrations.grpc.management.commands.' + name)\n"
    )
    root = Path(__file__).parents[5]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.8.8:1", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("10.0.0.1:50051", False),
        ("[::2]:50051", False),
        ("fleet.example:443", False),
        ("localhost.example:443", False),
        ("", False),
    ],
)
def test_only_this_machine_is_reached_past_a_proxy(address: str, expected: bool) -> None:
    assert ("grpc.enable_http_proxy" in dict(client_options(GRPCConfig(), address))) is expected


def test_channel_arguments_follow_the_settings() -> None:
    config = GRPCConfig(
        keepalive_seconds=2.5,
        keepalive_timeout_seconds=1,
        client_keepalive_seconds=40,
        min_ping_interval_seconds=3,
        max_message_bytes=5000,
        max_concurrent_streams=7,
        tls_server_name="fleet.example",
    )
    server, client = dict(server_options(config)), dict(client_options(config))

    assert server["grpc.so_reuseport"] == 0
    assert int(server["grpc.server.max_pending_requests"]) >= 50_000
    assert server["grpc.server.max_pending_requests_hard_limit"] > server["grpc.server.max_pending_requests"]  # type: ignore[operator]
    assert server["grpc.http2.min_ping_interval_without_data_ms"] == 3000
    assert server["grpc.max_concurrent_streams"] == 7
    assert int(dict(server_options(GRPCConfig(max_agents=9)))["grpc.max_concurrent_streams"]) > 9
    assert client["grpc.ssl_target_name_override"] == "fleet.example"
    for options, keepalive_ms in ((server, 2500), (client, 40_000)):
        assert options["grpc.keepalive_time_ms"] == keepalive_ms
        assert options["grpc.keepalive_timeout_ms"] == options["grpc.http2.ping_timeout_ms"] == 1000
        assert options["grpc.keepalive_permit_without_calls"] == 1
        assert options["grpc.max_receive_message_length"] == 5000
