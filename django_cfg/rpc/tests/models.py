"""Models and handlers that several tests share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class AddParams(BaseModel):
    a: int
    b: int = Field(default=0, ge=0)


class AddResult(BaseModel):
    total: int


async def add(conn: Any, params: AddParams) -> AddResult:
    """Add two numbers."""
    return AddResult(total=params.a + params.b)
