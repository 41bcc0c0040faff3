"""Pure: the address that a client dials."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.errors import ConfigurationError

__all__ = ["dialled_address", "local_name"]

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_THIS_MACHINE = "localhost"


def local_name(settings: GRPCConfig) -> str:
    """The address that the settings give, or that of this machine for one that means all; else localhost.

    Never localhost for what was given otherwise: somebody else may listen on its other address.
    """
    if "host" not in settings.model_fields_set:
        return _THIS_MACHINE
    if settings.uses_tls and settings.host in _LOOPBACK:
        return _THIS_MACHINE  # which a certificate can name, and which proves whose server it is
    return _LOOPBACK.get(settings.host, settings.host)


def dialled_address(host: str, port: int | None, settings: GRPCConfig) -> str:
    """`host:port`; the port of the settings where none is given. Raises ConfigurationError when that is 0."""
    found = port or settings.port
    if not found:
        raise ConfigurationError("settings.GRPC['port'] is 0, any free one: tell the client its grpc_port")
    return f"[{host}]:{found}" if ":" in host else f"{host}:{found}"
