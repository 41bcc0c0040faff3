"""What is measured is a project with the extra `redis` alone."""

from __future__ import annotations

import sys
from typing import Any, cast


def hide_optional_packages() -> None:
    """Before the first import of django_cfg: no metrics, no tracing, whatever else is installed here."""
    for name in ("prometheus_client", "opentelemetry"):
        cast("dict[str, Any]", sys.modules)[name] = None
