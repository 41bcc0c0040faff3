"""Finds a project's handlers: modules with certain names in installed apps register them when they are imported."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

__all__ = ["HANDLER_MODULES", "discover_handlers"]

HANDLER_MODULES = ("centrifugo_handlers", "handlers", "rpc")


def discover_handlers(module_names: Iterable[str] = HANDLER_MODULES) -> None:
    """Import each once, however often it is asked for; an error inside one is raised with its own traceback."""
    names = tuple(module_names)
    for app in apps.get_app_configs():
        if app.module is None or app.name.partition(".")[0] == "django":
            continue
        for name in names:
            if module_has_submodule(app.module, name):
                import_module(f"{app.name}.{name}")
