"""Names that a generated client needs for itself; a test compares them with the base clients' sources."""

from __future__ import annotations

import keyword

from pydantic import BaseModel

__all__ = ["ENUM_MEMBERS", "METHODS", "MODEL_FIELDS", "PYTHON_KEYWORDS", "TYPES"]

METHODS = frozenset(
    # the base clients' own, and everything that JavaScript finds in any object; lower case, without separators
    """
    await call catch centrifugorpcclient close connect constructor disconnect finally hasownproperty isprototypeof on
    propertyisenumerable publish rpc state subscribe then tolocalestring tostring unsubscribe valueof
    """.split()  # noqa: SIM905  # a list would fill a page
)
"""Reserved in every language, so that a method has one name everywhere."""

TYPES = frozenset(
    # exported by the base clients, and the thin clients' own
    """
    API APIClient CallOption CallOptions CentrifugoRPCClient ChannelSubscription ClientOption ClientOptions ClientState
    CommonOption RPCError RPCErrorCode RPCErrorOptions State SubscribeOption SubscribeOptions Transport
    CodeApplicationError CodeCancelled CodeConnectionError CodeContractMismatch CodeInternalError CodeInvalidParams
    CodeMethodNotFound CodeOutcomeUnknown CodePermissionDenied CodeRateLimitExceeded CodeRedisError CodeResourceNotFound
    CodeRoomNotFound CodeServiceUnavailable CodeTimeout CodeUnauthorized CodeUserNotConnected CodeValidationError
    StateConnected StateConnecting StateDisconnected TransportPublish TransportRPC WebSocketClass
    NewAPIClient NewCentrifugoRPCClient WithGetToken WithMaxPendingCalls WithMaxRequestBytes WithOnError WithOnState
    WithResendInterval WithSubscriptionToken WithSubscriptionTokenSource WithTimeout WithTransport
    """.split()  # noqa: SIM905
    # used by models.py
    + """
    Annotated Any BaseModel BeforeValidator ConfigDict Decimal Field IntEnum Literal None PlainSerializer RootModel Self
    StrEnum True False TypeAlias TypeAliasType TypeVar UUID ValidationError
    """.split()  # noqa: SIM905
    # used by types.ts and client.ts
    + "Array Boolean Function Number Object Promise Record String Symbol".split()  # noqa: SIM905
    # declared by types.go
    + "Base64 Date Duration NaiveDateTime NewDate".split()  # noqa: SIM905
    + [f"Tuple{length}" for length in range(1, 33)]
)
"""A model of that name gets `Model` behind it."""

MODEL_FIELDS = frozenset(dir(BaseModel)) | TYPES
"""Attributes of every pydantic model, and names in the annotations beside a field."""

ENUM_MEMBERS = frozenset(dir(str)) | frozenset(dir(int)) | {"mro", "name", "value"}
PYTHON_KEYWORDS = frozenset(keyword.kwlist)
