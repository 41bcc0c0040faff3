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
    pair = _read_pair(config, "tls_certificate", "tls_key")
    authority = _read_authority("client_ca", config.client_ca) if config.client_ca else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def channel_credentials(config: GRPCConfig) -> grpc.ChannelCredentials | None:
    """None: no TLS. Raises ConfigurationError for a file that cannot be read."""
    if not config.uses_tls:
        return None
    authority = _read_authority("server_ca", config.server_ca) if config.server_ca else None
    if not config.client_certificate:
        return grpc.ssl_channel_credentials(authority)
    key, certificate = _read_pair(config, "client_certificate", "client_key")
    return grpc.ssl_channel_credentials(authority, key, certificate)


def service_metadata(config: GRPCConfig) -> tuple[tuple[str, str], ...]:
    """What one call of this project's own clients carries; empty where the server needs nothing, or a certificate."""
    if config.service_api_keys:
        return (("x-api-key", config.service_api_keys[0]),)
    if config.checks_callers and config.token_secret:
        return (("authorization", f"Bearer {create_service_token(SERVICE_NAME, ttl_seconds=TOKEN_SECONDS)}"),)
    return ()


def _read_pair(config: GRPCConfig, certificate: str, key: str) -> tuple[bytes, bytes]:
    """The key and the certificate. Of a bad one gRPC would only say that it cannot listen, or not connect."""
    files = getattr(config, certificate), getattr(config, key)
    read = _read(key, files[1]), _read(certificate, files[0])
    try:
        # An empty password, or OpenSSL asks at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            f"GRPC[{certificate!r}] and GRPC[{key!r}] must be PEM files of one pair, and the key without a"
            f" password: {error}"
        ) from error
    return read


def _read_authority(setting: str, path: str) -> bytes:
    read = _read(setting, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"GRPC[{setting!r}]: {path} must be a PEM file of certificates: {error}") from error
    return read


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"GRPC[{setting!r}]: cannot read {path}: {error.strerror}") from error
