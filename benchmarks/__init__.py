"""What is measured is a project without optional packages: no metrics, no tracing, whatever else is installed here."""

from __future__ import annotations

import sys
from typing import Any, cast

for _name in ("prometheus_client", "opentelemetry"):
    cast("dict[str, Any]", sys.modules)[_name] = None
