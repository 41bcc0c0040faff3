"""Pure: secrets for development, where nobody has configured any."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["derive_secret"]


def derive_secret(secret_key: str, purpose: str) -> str:
    """The same on every start of one project, different for each purpose (`part:name`) and project."""
    return hmac.new(secret_key.encode(), f"django_cfg.{purpose}".encode(), hashlib.sha256).hexdigest()
