"""The core's router at the address that the documents give."""

from django_cfg.rpc.router import MessageRouter, get_global_router

__all__ = ["MessageRouter", "get_global_router"]
