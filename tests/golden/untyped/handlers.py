"""A custom router with a handler that has no types."""

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()


@router.register("custom.method")
async def custom_handler(conn, params):
    return {"result": "custom"}
