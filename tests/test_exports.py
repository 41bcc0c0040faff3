"""Every import path that users have in hand."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

import django_cfg
from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.apps.centrifugo.router import MessageRouter
from django_cfg.apps.centrifugo.tokens import create_connection_token
from django_cfg.errors import RPCErrorCode

PATHS = {
    "django_cfg": ["DjangoConfig", "__version__"],
    "django_cfg.errors": ["DjangoCfgError", "RPCError", "RPCErrorCode", "ConfigurationError", "PublishError"],
    "django_cfg.models.websocket": ["RPCError", "RPCErrorCode"],
    "django_cfg.rpc.permissions": ["AllowAny", "IsAuthenticated", "IsService"],
    "django_cfg.apps.centrifugo.config": ["CentrifugoConfig"],
    "django_cfg.apps.centrifugo.decorators": ["websocket_rpc"],
    "django_cfg.apps.centrifugo.router": ["MessageRouter", "get_global_router"],
    "django_cfg.apps.centrifugo.registry": ["RPCRegistry", "get_global_registry"],
    "django_cfg.apps.centrifugo.codegen": [
        "GoThinGenerator",
        "PythonThinGenerator",
        "RPCMethodInfo",
        "TypeScriptThinGenerator",
        "discover_rpc_methods_from_router",
    ],
    "django_cfg.apps.centrifugo.tokens": ["create_connection_token", "create_subscription_token"],
    "django_cfg.apps.centrifugo.publish": [
        "apublish_to_channel",
        "apublish_to_user",
        "publish_to_channel",
        "publish_to_user",
    ],
    "django_cfg.apps.centrifugo.urls": ["urlpatterns"],
    "django_cfg.apps.integrations.grpc.services.commands": ["StreamingCommandClient", "CommandClientConfig"],
    "django_cfg.apps.integrations.grpc.services.commands.base": [
        "ClientNotConnectedError",
        "CommandClientConfig",
        "CommandError",
        "CommandTimeoutError",
        "StreamingCommandClient",
    ],
    "django_cfg.apps.integrations.grpc.services.commands.registry": [
        "clear_registry",
        "get_streaming_service",
        "is_registered",
        "list_streaming_services",
        "register_streaming_service",
        "set_streaming_service",
        "unregister_streaming_service",
    ],
    "django_cfg.apps.integrations.grpc.services.commands.examples.client": [
        "CommandClient",
        "batch_start",
        "batch_stop",
    ],
    "django_cfg.apps.integrations.grpc.services.commands.examples.config": [
        "HasConfig",
        "batch_update_config",
        "update_config",
    ],
    "django_cfg.apps.integrations.grpc.services.commands.examples.start": ["HasStatus", "start_client"],
    "django_cfg.apps.integrations.grpc.services.commands.examples.stop": ["stop_client"],
    **{
        f"django_cfg.apps.centrifugo.management.commands.{command}": ["Command"]
        for command in (
            "centrifugo_token",
            "centrifugo_worker",
            "generate_centrifugo_clients",
            "generate_centrifugo_config",
            "runcentrifugo",
        )
    },
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PATHS.items() for name in names])
def test_the_name_is_there(module: str, name: str) -> None:
    assert getattr(import_module(module), name) is not None


@pytest.mark.parametrize("module", [module for module in PATHS if hasattr(import_module(module), "__all__")])
def test_what_is_promised_is_in_all(module: str) -> None:
    found = import_module(module)
    assert set(PATHS[module]) <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)


def parameters(func: Any) -> list[str]:
    return list(inspect.signature(func).parameters)


def test_signatures() -> None:
    assert parameters(websocket_rpc) == ["name", "idempotent", "permissions", "errors", "transports"]
    assert parameters(MessageRouter.register) == ["self", "name"]
    assert parameters(MessageRouter.register_handler)[:3] == ["self", "name", "func"]
    assert parameters(MessageRouter.handle_message) == ["self", "name", "params", "conn"]
    assert parameters(create_connection_token)[:2] == ["user_id", "ttl_seconds"]


def test_the_error_codes_in_their_order() -> None:
    assert [code.name for code in RPCErrorCode] == [
        "TIMEOUT",
        "METHOD_NOT_FOUND",
        "INVALID_PARAMS",
        "VALIDATION_ERROR",
        "UNAUTHORIZED",
        "RATE_LIMIT_EXCEEDED",
        "INTERNAL_ERROR",
        "SERVICE_UNAVAILABLE",
        "USER_NOT_CONNECTED",
        "ROOM_NOT_FOUND",
        "RESOURCE_NOT_FOUND",
        "CONNECTION_ERROR",
        "REDIS_ERROR",
        "PERMISSION_DENIED",
        "APPLICATION_ERROR",
        "CANCELLED",
        "OUTCOME_UNKNOWN",
        "CONTRACT_MISMATCH",
    ]
    assert all(code.value == code.name.lower() for code in RPCErrorCode)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = django_cfg.Nonsense
