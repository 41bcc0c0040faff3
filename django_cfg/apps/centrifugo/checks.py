"""System checks; each has an id, a sentence and a fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import module_has_submodule

from django_cfg.apps.centrifugo.conf import SECRETS, given_config
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.wiring import read_permission
from django_cfg.errors import ConfigurationError

__all__ = ["check_configuration", "check_deployment", "check_distribution"]

PREFIX = "django_cfg_centrifugo"
DISTRIBUTION = "django-cfg-realtime"
SHORTEST_SECRET_BYTES = 32
FEWEST_CHARACTERS = 5
"""Different ones, as Django wants of SECRET_KEY."""
LONGEST_TOKEN_SECONDS = 3600


@register(Tags.compatibility)
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What makes the part unusable (E001 to E006), and handlers that would not be found (W008)."""
    try:
        config = given_config()
    except ConfigurationError as error:
        return [Error(str(error), hint="Correct settings.CENTRIFUGO.", id=f"{PREFIX}.E001")]
    parts = (_secrets, _origins, _permissions, _handler_modules)
    return [message for part in parts for message in part(config)]


@register(Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What works and should not go to production (W010 to W013)."""
    try:
        config = given_config()
    except ConfigurationError:
        return []  # E001 has said it
    return [*_weak_secrets(config), *_shared_secrets(config), *_long_tokens(config), *_kept_connections()]


@register(Tags.compatibility)
def check_distribution(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Whether another installed distribution also ships a package `django_cfg` (E007)."""
    others = {name for name in metadata.packages_distributions().get("django_cfg", []) if name != DISTRIBUTION}
    return [
        Error(
            f"The distribution {name!r} also installs the package 'django_cfg': which files win is chance.",
            hint=f"Keep one: pip uninstall {name} && pip install --force-reinstall {DISTRIBUTION}",
            id=f"{PREFIX}.E007",
        )
        for name in sorted(others)
    ]


def _secrets(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    if settings.DEBUG:
        return
    for name in SECRETS:
        if not getattr(config, name):
            yield Error(
                f"settings.CENTRIFUGO[{name!r}] is missing; development secrets exist only with DEBUG = True.",
                hint='Generate one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
                id=f"{PREFIX}.E002",
            )


def _origins(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    if config.allowed_origins is None and not settings.DEBUG:
        yield Error(
            "settings.CENTRIFUGO['allowed_origins'] is missing; no browser could connect.",
            hint="List your site's origins, for example ['https://www.example.com'], or [] for no browsers at all.",
            id=f"{PREFIX}.E003",
        )
    for origin in config.allowed_origins or []:
        if origin == "*" and not settings.DEBUG:
            yield CheckWarning(
                "settings.CENTRIFUGO['allowed_origins'] lets every web site connect.",
                hint="List your own origins.",
                id=f"{PREFIX}.W004",
            )
        elif origin != "*" and "://" not in origin:
            yield Error(
                f"settings.CENTRIFUGO['allowed_origins']: {origin!r} is no origin.",
                hint="Write scheme and host: 'https://www.example.com'.",
                id=f"{PREFIX}.E005",
            )


def _permissions(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    for path in config.default_permissions:
        try:
            read_permission(path)
        except ConfigurationError as error:
            yield Error(
                str(error),
                hint="Give the dotted path of a permission, such as 'django_cfg.rpc.permissions.IsAuthenticated'.",
                id=f"{PREFIX}.E006",
            )


def _handler_modules(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    given = config.handler_modules if "handler_modules" in config.model_fields_set else []
    for name in given:
        if not any(app.module is not None and module_has_submodule(app.module, name) for app in apps.get_app_configs()):
            yield CheckWarning(
                f"settings.CENTRIFUGO['handler_modules']: no installed app has a module {name!r}.",
                hint="Give the name alone, without the app: 'handlers' finds shop/handlers.py of the app 'shop'.",
                id=f"{PREFIX}.W008",
            )


def _weak_secrets(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    for name in SECRETS:
        secret = getattr(config, name)
        if secret and (len(secret.encode()) < SHORTEST_SECRET_BYTES or len(set(secret)) < FEWEST_CHARACTERS):
            yield CheckWarning(
                f"settings.CENTRIFUGO[{name!r}] can be guessed: it has less than {SHORTEST_SECRET_BYTES} bytes, or "
                f"fewer than {FEWEST_CHARACTERS} different characters.",
                hint='Generate one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
                id=f"{PREFIX}.W010",
            )


def _shared_secrets(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    given = [secret for name in SECRETS if (secret := getattr(config, name))]
    if len(set(given)) < len(given):
        yield CheckWarning(
            "Two secrets of settings.CENTRIFUGO are the same: who learns one may do what the other allows.",
            hint=f"Give {', '.join(SECRETS)} different values.",
            id=f"{PREFIX}.W011",
        )


def _long_tokens(config: CentrifugoConfig) -> Iterable[CheckMessage]:
    if config.token_ttl_seconds > LONGEST_TOKEN_SECONDS:
        yield CheckWarning(
            f"Connection tokens live for {config.token_ttl_seconds} s; a leaked one works as long.",
            hint="Use 600 or less: clients refresh their tokens by themselves.",
            id=f"{PREFIX}.W012",
        )


def _kept_connections() -> Iterable[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        if database.get("CONN_MAX_AGE") is None and "CONN_MAX_AGE" in database:
            yield CheckWarning(
                f"DATABASES[{alias!r}] keeps connections for ever: a worker never renews those of its lanes.",
                hint="Set CONN_MAX_AGE to a number of seconds, or use the database backend's own pool.",
                id=f"{PREFIX}.W013",
            )
