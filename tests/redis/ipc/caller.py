"""`python caller.py REDIS_URL METHOD MESSAGE`, by a Python that has django-ipc: a call by its models of both messages.

Prints the response; ends in a traceback when its model does not take what came.
"""

from __future__ import annotations

import sys
import uuid

import redis
from django_ipc.models import RPCRequest, RPCResponse
from pydantic import BaseModel


class Params(BaseModel):
    message: str


class Result(Params):
    length: int


def call(url: str, method: str, message: str) -> str:
    reply_to = f"list:response:{uuid.uuid4()}"
    request = RPCRequest[Params](method=method, params=Params(message=message), reply_to=reply_to, timeout=10)
    with redis.Redis.from_url(url) as connection:
        connection.xadd("stream:requests", {"payload": request.model_dump_json()}, maxlen=10000, approximate=True)
        popped = connection.blpop([reply_to], 10)
    response = RPCResponse[Result].model_validate_json(popped[1])
    assert response.correlation_id == request.correlation_id
    return response.model_dump_json()


print(call(*sys.argv[1:]))  # noqa: T201
