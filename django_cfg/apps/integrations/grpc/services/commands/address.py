"""Pure: the address that a client dials."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.errors import ConfigurationError

__all__ = ["dialled_address", "local_name"]

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_THIS_MACHINE = ("127.0.0.1", "::1")


def local_name(settings: GRPCConfig) -> str:
    """Of what a server listens on: one that listens everywhere, or on this machine only, is reached as localhost.

    With TLS an address that was given stays as it is: it may be what the certificate names.
    """
    host = settings.host
    is_named = settings.uses_tls and "host" in settings.model_fields_set
    return "localhost" if host in _EVERYWHERE or (host in _THIS_MACHINE and not is_named) else host


def dialled_address(host: str, port: int | None, settings: GRPCConfig) -> str:
    """`host:port`; the port of the settings where none is given. Raises ConfigurationError when that is 0."""
    found = port or settings.port
    if not found:
        raise ConfigurationError("settings.GRPC['port'] is 0, any free one: tell the client its grpc_port")
    return f"[{host}]:{found}" if ":" in host else f"{host}:{found}"
