"""Requests and responses with typed contents: `RPCRequest[EchoParams]`, `RPCResponse[EchoResult]`."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import Field

from django_cfg.models.websocket.base import BaseRPCRequest, BaseRPCResponse

__all__ = ["RPCRequest", "RPCResponse"]

TParams = TypeVar("TParams")
TResult = TypeVar("TResult")


class RPCRequest(BaseRPCRequest, Generic[TParams]):
    """A call; without a type in brackets the parameters are any JSON."""

    params: TParams = Field(description="What the method receives")


class RPCResponse(BaseRPCResponse, Generic[TResult]):
    """The answer to a call; a result may be None also when the call succeeded."""

    result: TResult | None = Field(default=None, description="What the method returned")
