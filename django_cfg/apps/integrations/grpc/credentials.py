"""TLS credentials and metadata from the configuration, for the server and for this project's own clients."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.tokens import create_service_token
from django_cfg.errors import ConfigurationError

__all__ = ["channel_credentials", "server_credentials", "service_metadata"]

SERVICE_NAME = "django"
TOKEN_SECONDS = 300
"""Of a token made for one call: it is checked as the call arrives."""


def server_credentials(config: GRPCConfig) -> grpc.ServerCredentials | None:
    """None: no TLS. Raises ConfigurationError for a file that cannot be read."""
    if not config.tls_certificate:
        return None
    pair = (_read("tls_key", config.tls_key), _read("tls_certificate", config.tls_certificate))
    _check_pair(config)
    authority = _read("client_ca", config.client_ca) if config.client_ca else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def channel_credentials(config: GRPCConfig) -> grpc.ChannelCredentials | None:
    """None: no TLS. Raises ConfigurationError for a file that cannot be read."""
    if not config.uses_tls:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read("server_ca", config.server_ca) if config.server_ca else None,
        private_key=_read("client_key", config.client_key) if config.client_key else None,
        certificate_chain=_read("client_certificate", config.client_certificate) if config.client_certificate else None,
    )


def service_metadata(config: GRPCConfig) -> tuple[tuple[str, str], ...]:
    """What one call of this project's own clients carries; empty where the server needs nothing, or a certificate."""
    if config.service_api_keys:
        return (("x-api-key", config.service_api_keys[0]),)
    if config.checks_callers and config.token_secret:
        return (("authorization", f"Bearer {create_service_token(SERVICE_NAME, ttl_seconds=TOKEN_SECONDS)}"),)
    return ()


def _check_pair(config: GRPCConfig) -> None:
    """gRPC would only say that it cannot listen."""
    try:
        # An empty password, or OpenSSL asks at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_certificate, config.tls_key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            "GRPC['tls_certificate'] and GRPC['tls_key'] must be PEM files of one pair, and the key without a"
            f" password: {error}"
        ) from error


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"GRPC[{setting!r}]: cannot read {path}: {error.strerror}") from error
