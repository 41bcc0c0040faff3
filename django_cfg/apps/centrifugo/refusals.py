"""What the edges of the proxies have refused, as the log says it: clients see a timeout, Centrifugo a status."""

from __future__ import annotations

import logging
import time

from django_cfg.apps.centrifugo.http_edge import Refusal

__all__ = ["log_refusal"]

logger = logging.getLogger("django_cfg.centrifugo")

EVERY_SECONDS = 60.0
FORBIDDEN = 403
OLDER_CONFIGURATION = (
    "a proxy request was refused: %s. If it came from Centrifugo, its configuration is older than the settings: "
    "run generate_centrifugo_config again and restart Centrifugo."
)

_last: dict[int, float] = {}


def log_refusal(refusal: Refusal) -> None:
    """Each status at most once a minute: anybody who reaches the address can cause it."""
    now = time.monotonic()
    if now - _last.get(refusal.status, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    _last[refusal.status] = now
    text = OLDER_CONFIGURATION if refusal.status == FORBIDDEN else "a proxy request was refused: %s"
    logger.warning(text, refusal.reason)
