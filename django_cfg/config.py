"""Typed settings of every part, and their form as Django settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from django_cfg.apps.centrifugo.config import CentrifugoConfig

__all__ = ["DjangoConfig"]


class DjangoConfig(BaseModel):
    """The parts a project uses; one that is not given is not configured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    centrifugo: CentrifugoConfig | None = None

    def to_django_settings(self) -> dict[str, Any]:
        """For `globals().update(...)` in settings.py; one key per part."""
        merged: dict[str, Any] = {}
        for part in (self.centrifugo,):
            if part is not None:
                merged.update(part.to_django_settings())
        return merged
