"""A router without methods."""

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()
