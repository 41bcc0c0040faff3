"""Typed clients generated from the registered methods: discovery, schema, IR, one back end per language, files."""

from __future__ import annotations

from django_cfg.apps.centrifugo.codegen.discovery import discover_rpc_methods_from_router
from django_cfg.apps.centrifugo.codegen.generators import GoThinGenerator, PythonThinGenerator, TypeScriptThinGenerator
from django_cfg.rpc.method import RPCMethodInfo

__all__ = [
    "GoThinGenerator",
    "PythonThinGenerator",
    "RPCMethodInfo",
    "TypeScriptThinGenerator",
    "discover_rpc_methods_from_router",
]
