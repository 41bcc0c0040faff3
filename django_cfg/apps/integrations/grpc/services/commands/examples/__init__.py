"""A fleet of bots: its protocol (`fleet.proto`), a server, an agent, and the commands that Django sends."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.extra import require_grpc

require_grpc()
