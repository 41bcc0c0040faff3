"""System checks; each has an id, a sentence and a fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from django_cfg.apps.integrations.grpc.conf import get_config, given_config
from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.extra import INSTALL_HINT, grpc_is_installed
from django_cfg.apps.integrations.grpc.hosts import is_loopback
from django_cfg.errors import ConfigurationError

__all__ = ["check_configuration", "check_deployment"]

PREFIX = "django_cfg_grpc"
FILES = ("tls_certificate", "tls_key", "client_ca", "server_ca", "client_certificate", "client_key")


@register(Tags.compatibility)
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What makes the part unusable or unsafe (E001 to W006)."""
    try:
        config = given_config()
        get_config()
    except ConfigurationError as error:
        return [Error(str(error), hint="Correct settings.GRPC.", id=f"{PREFIX}.E001")]
    return [*_extra(), *_files(config), *_exposure(config), *_orders(config), *_pings(config)]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What works and should not go to production (W010, W011)."""
    try:
        config = given_config()
    except ConfigurationError:
        return []  # E001 has said it
    return [*_plain_text(config), *_reflection(config)]


def _extra() -> Iterable[CheckMessage]:
    if not grpc_is_installed():
        yield Error("Streaming commands need gRPC, which is not installed.", hint=INSTALL_HINT, id=f"{PREFIX}.E002")


def _files(config: GRPCConfig) -> Iterable[CheckMessage]:
    for name in FILES:
        path = getattr(config, name)
        if path and not Path(path).is_file():
            yield Error(
                f"settings.GRPC[{name!r}]: there is no file {path}.",
                hint="Give the path of a PEM file.",
                id=f"{PREFIX}.E003",
            )


def _exposure(config: GRPCConfig) -> Iterable[CheckMessage]:
    if config.exposure_problem(config.host, debug=settings.DEBUG):
        yield Error(
            f"settings.GRPC: whoever reaches {config.host} could pose as any agent.",
            hint="Set 'agent_tokens' to 'required', or 'client_ca', or listen on 127.0.0.1.",
            id=f"{PREFIX}.E004",
        )
    elif config.exposure_problem(config.host, debug=False):
        yield CheckWarning(
            f"settings.GRPC: whoever reaches {config.host} can pose as any agent; without DEBUG this is an error.",
            hint="Set 'agent_tokens' to 'required', or 'client_ca', or listen on 127.0.0.1.",
            id=f"{PREFIX}.W004",
        )


def _orders(config: GRPCConfig) -> Iterable[CheckMessage]:
    secret = config.token_secret or settings.DEBUG
    if config.checks_callers and not (config.service_api_keys or config.service_sans or secret):
        yield CheckWarning(
            "settings.GRPC: no service has credentials, so nobody can give orders from another process.",
            hint="Give 'service_api_keys', 'service_sans' or 'token_secret'.",
            id=f"{PREFIX}.W005",
        )


def _pings(config: GRPCConfig) -> Iterable[CheckMessage]:
    if config.client_keepalive_seconds < config.min_ping_interval_seconds:
        yield CheckWarning(
            f"settings.GRPC: clients ping every {config.client_keepalive_seconds:g} s, and the server sends away"
            f" whoever does so more often than every {config.min_ping_interval_seconds:g} s.",
            hint="Let 'client_keepalive_seconds' be no less than 'min_ping_interval_seconds'.",
            id=f"{PREFIX}.W006",
        )


def _plain_text(config: GRPCConfig) -> Iterable[CheckMessage]:
    if not config.tls_certificate and not is_loopback(config.host):
        yield CheckWarning(
            f"settings.GRPC: {config.host} is served without TLS; commands and credentials can be read on the way.",
            hint="Set 'tls_certificate' and 'tls_key', unless a proxy in front of the server has them.",
            id=f"{PREFIX}.W010",
        )


def _reflection(config: GRPCConfig) -> Iterable[CheckMessage]:
    if config.reflection:
        yield CheckWarning(
            "settings.GRPC['reflection'] is on: whoever may call the server learns all its methods.",
            hint="Leave it out; it is on under DEBUG only.",
            id=f"{PREFIX}.W011",
        )
