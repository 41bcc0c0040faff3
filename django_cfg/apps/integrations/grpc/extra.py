"""The optional dependency: whether grpcio is installed, and what to do if it is not."""

from __future__ import annotations

from importlib.util import find_spec

from django_cfg.errors import ConfigurationError

__all__ = ["INSTALL_HINT", "grpc_is_installed", "require_grpc"]

INSTALL_HINT = 'pip install "django-cfg-realtime[grpc]"'
_PACKAGES = ("grpc", "grpc_health", "grpc_reflection", "google.protobuf")


def grpc_is_installed() -> bool:
    """Whether everything of the extra can be imported."""
    try:
        return find_spec("google") is not None and all(find_spec(name) is not None for name in _PACKAGES)
    except ImportError:  # an import hook refuses it
        return False


def require_grpc() -> None:
    """For edges, before their first import of grpc; raises ConfigurationError."""
    if not grpc_is_installed():
        raise ConfigurationError(f"streaming commands need gRPC, which is not installed: {INSTALL_HINT}")
