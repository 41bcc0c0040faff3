"""Text that tries to leave the place where it is emitted, in every such place."""

import enum
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, Field, create_model

from django_cfg.rpc.router import MessageRouter

router = MessageRouter()

PAYLOADS = [
    "it's \"quoted\" and \\ slashed \\",
    'ends with a quote"',
    '""" + __import__("os").system("touch canary") + """',
    "*/ throw new Error('canary'); /*",
    "`; process.exit(1); `${process.exit(1)}",
    "line\nbreak\r\nreturn\u2028separator\u2029paragraph\x85next\x0bvertical\x0cfeed",
    "//go:generate touch canary\n//go:build ignore\n+build ignore\n//line x:1",
    "@ts-nocheck\n/// <reference path='x' />\n# type: ignore\n# coding: latin-1",
    "bidi \u202e\u2066 nul \x00 escape \x1b[31m bom \ufeff emoji \U0001f600 \u00e9",
    "{{ 7 * 7 }} {% raw %} {# x #} %s {0} {}",
    "<script>alert(1)</script> <!-- --> ]]> & ``` \n# heading\n```\n---",
    "[link]: http://example.com\n\n- item\n  * item\n1. item\n\tindented\n    code",
    "Deprecated: x\n\nOutput:\n1",
]

Hostile = enum.Enum("Hostile", {f"MEMBER_{index}": payload for index, payload in enumerate(PAYLOADS)}, type=str)
Hostile.__doc__ = "\n\n".join(PAYLOADS)
Choice = Literal[tuple(PAYLOADS)]


def model(name: str) -> type[BaseModel]:
    fields = {f"described_{index}": (str, Field(description=payload)) for index, payload in enumerate(PAYLOADS)}
    defaults = {f"default_{index}": (str, payload) for index, payload in enumerate(PAYLOADS)}
    return create_model(
        name,
        __doc__="\n\n".join(PAYLOADS),
        choice=(Choice, PAYLOADS[0]),
        hostile=(Hostile, Hostile.MEMBER_1),
        listed=(list[str], PAYLOADS),
        keyed=(dict[str, str], dict.fromkeys(PAYLOADS, "x")),
        **fields,
        **defaults,
    )


Params, Result = model("Params"), model("Result")


async def handler(conn, params: Params) -> Result:
    raise NotImplementedError


for index, payload in enumerate(PAYLOADS):
    handler.__doc__ = payload
    info = router.register_handler(f"hostile.method{index}", handler)
    router.add(replace(info, name=payload))
