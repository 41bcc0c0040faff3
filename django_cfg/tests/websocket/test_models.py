from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from django_cfg import errors
from django_cfg.models import websocket
from django_cfg.models.websocket import (
    BaseRPCMessage,
    BatchNotificationRequest,
    BatchNotificationResponse,
    BroadcastRequest,
    BroadcastResponse,
    ConnectionInfo,
    ConnectionStateUpdate,
    NotificationPriority,
    NotificationRequest,
    NotificationResponse,
    RateLimitError,
    RPCError,
    RPCErrorCode,
    RPCRequest,
    RPCResponse,
    RPCValidationError,
    TimeoutError,  # noqa: A004 - the users' name
    UserNotConnectedError,
)

REPLY_TO = "list:response:7f0c"
REQUEST: dict[str, Any] = {"method": "echo", "params": {}, "reply_to": REPLY_TO}
NOTE: dict[str, Any] = {"user_id": "7", "notification_type": "order_update", "title": "T", "message": "M"}


class EchoParams(BaseModel):
    message: str


class EchoResult(BaseModel):
    echoed: str


def request(**changes: Any) -> RPCRequest[Any]:
    return RPCRequest[Any].model_validate(REQUEST | changes)


def refused_at(error: pytest.ExceptionInfo[ValidationError]) -> list[tuple[int | str, ...]]:
    return [problem["loc"] for problem in error.value.errors()]


class TestMessages:
    def test_what_is_not_given(self) -> None:
        before = datetime.now(UTC)
        first, second = BaseRPCMessage(), BaseRPCMessage()

        assert first.correlation_id != second.correlation_id
        assert first.correlation_id.version == 4
        assert before <= first.timestamp <= datetime.now(UTC)
        assert first.timestamp.tzinfo is UTC

    def test_the_older_name_is_read_and_never_written(self) -> None:
        one = uuid4()
        for name in ("cid", "correlation_id"):
            message = BaseRPCMessage.model_validate({name: str(one)})

            assert message.correlation_id == one
            assert set(message.model_dump(by_alias=True)) == {"correlation_id", "timestamp"}

    @pytest.mark.parametrize("text", ["", "7", "not-a-uuid", None, 7])
    def test_a_correlation_id_is_a_uuid(self, text: object) -> None:
        with pytest.raises(ValidationError) as caught:
            BaseRPCMessage.model_validate({"correlation_id": text})
        assert refused_at(caught) == [("correlation_id",)]

    def test_messages_never_change(self) -> None:
        message = BaseRPCMessage()
        with pytest.raises(ValidationError):
            setattr(message, "correlation_id", uuid4())  # noqa: B010 - type checkers refuse the plain form as well


class TestRequests:
    def test_the_wire_of_django_ipc(self) -> None:
        made = RPCRequest[EchoParams](method="echo", params=EchoParams(message="Hello"), reply_to=REPLY_TO)
        sent = json.loads(made.model_dump_json())

        assert list(sent) == ["correlation_id", "timestamp", "method", "reply_to", "timeout", "params"]
        assert (sent["timeout"], sent["params"]) == (30, {"message": "Hello"})
        assert RPCRequest[EchoParams].model_validate_json(made.model_dump_json()) == made

    def test_both_dialects_are_read(self) -> None:
        rest = {"method": "echo", "params": {"message": "Hi"}, "reply_to": REPLY_TO, "timeout": 5}
        one = str(uuid4())
        for dialect in ({"timestamp": "2026-11-20T09:48:05Z"}, {"type": "rpc"}):
            read = RPCRequest[EchoParams].model_validate_json(json.dumps(rest | dialect | {"correlation_id": one}))

            assert (read.params, read.timeout, str(read.correlation_id)) == (EchoParams(message="Hi"), 5, one)

    @pytest.mark.parametrize("method", ["echo", "tasks.get_stats", "A1", "_", "x" * 100])
    def test_methods(self, method: str) -> None:
        assert request(method=method).method == method

    @pytest.mark.parametrize("method", ["", "x" * 101, "a b", "a-b", "a/b", "é", "a\n", "a;", None, 5])
    def test_what_is_no_method(self, method: object) -> None:
        with pytest.raises(ValidationError) as caught:
            request(method=method)
        assert refused_at(caught) == [("method",)]

    @given(st.text())
    def test_no_method_breaks_out_of_its_alphabet(self, method: str) -> None:
        try:
            request(method=method)
        except ValidationError:
            return
        assert method.isascii()
        assert method.replace("_", "a").replace(".", "a").isalnum()

    @pytest.mark.parametrize("reply_to", ["", "x" * 201, None])
    def test_the_length_of_reply_to(self, reply_to: object) -> None:
        with pytest.raises(ValidationError) as caught:
            request(reply_to=reply_to)
        assert refused_at(caught) == [("reply_to",)]
        assert request(reply_to="x" * 200).reply_to == "x" * 200

    @pytest.mark.parametrize("timeout", [-1, 301, 1.5, None, "soon", float("inf")])
    def test_timeouts_beyond_the_wire(self, timeout: object) -> None:
        with pytest.raises(ValidationError) as caught:
            request(timeout=timeout)
        assert refused_at(caught) == [("timeout",)]

    def test_timeouts_at_the_edges(self) -> None:
        assert [request(timeout=at).timeout for at in (0, 300)] == [0, 300]

    @pytest.mark.parametrize("field", ["method", "params", "reply_to"])
    def test_what_must_be_given(self, field: str) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCRequest[Any].model_validate({name: value for name, value in REQUEST.items() if name != field})
        assert refused_at(caught) == [(field,)]

    def test_parameters_are_typed(self) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCRequest[EchoParams].model_validate({"method": "echo", "params": {"message": 5}, "reply_to": REPLY_TO})
        assert refused_at(caught) == [("params", "message")]


class TestResponses:
    def test_the_six_keys_of_django_ipc(self) -> None:
        made = RPCResponse[EchoResult](success=True, result=EchoResult(echoed="Hi"))
        sent = json.loads(made.model_dump_json())

        assert set(sent) == {"correlation_id", "timestamp", "success", "error", "error_code", "result"}
        assert (sent["result"], sent["error"], sent["error_code"]) == ({"echoed": "Hi"}, None, None)
        assert RPCResponse[EchoResult].model_validate_json(made.model_dump_json()) == made

    def test_a_failure(self) -> None:
        read = RPCResponse[EchoResult].model_validate(
            {"correlation_id": str(uuid4()), "success": False, "error": "boom", "error_code": "internal_error"}
        )

        assert (read.result, read.error, read.error_code) == (None, "boom", RPCErrorCode.INTERNAL_ERROR)

    def test_results_are_typed(self) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCResponse[EchoResult].model_validate({"success": True, "result": {"echoed": 5}})
        assert refused_at(caught) == [("result", "echoed")]

    def test_success_must_be_said(self) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCResponse[Any].model_validate({"result": 1})
        assert refused_at(caught) == [("success",)]


class TestNotifications:
    def test_what_is_not_given(self) -> None:
        note = NotificationRequest(**NOTE)

        assert (note.priority, note.data, note.expires_at) == (NotificationPriority.NORMAL, None, None)
        assert list(NotificationPriority) == ["low", "normal", "high", "urgent"]

    def test_the_older_name_of_the_type_is_read_and_sent_as_well(self) -> None:
        old = {key: value for key, value in NOTE.items() if key != "notification_type"} | {"type": "order_update"}
        note = NotificationRequest.model_validate(old)
        sent = json.loads(BatchNotificationRequest(notifications=[note]).model_dump_json())["notifications"][0]

        assert note == NotificationRequest(**NOTE)
        assert (sent["type"], sent["notification_type"]) == ("order_update", "order_update")
        assert "type" not in note.model_dump()
        assert NotificationRequest.model_validate_json(note.model_dump_json()) == note

    def test_the_primary_key_of_a_user_may_be_a_number(self) -> None:
        assert NotificationRequest.model_validate(NOTE | {"user_id": 7}).user_id == "7"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("user_id", ""),
            ("user_id", "x" * 101),
            ("user_id", None),
            ("user_id", True),
            ("title", ""),
            ("title", "x" * 201),
            ("message", ""),
            ("message", "x" * 2001),
            ("priority", "huge"),
            ("notification_type", ""),
            ("notification_type", "Order update"),
            ("notification_type", "x" * 51),
            ("data", [1]),
            ("expires_at", "2026-11-20T09:48:05"),
        ],
    )
    def test_what_is_refused(self, field: str, value: object) -> None:
        with pytest.raises(ValidationError) as caught:
            NotificationRequest.model_validate(NOTE | {field: value})
        assert refused_at(caught) == [(field,)]

    def test_a_response_says_what_became_of_it(self) -> None:
        answer = NotificationResponse(user_id="7", delivered=False, user_connected=False)

        assert (answer.connections, answer.error, answer.queued_for_later) == (0, None, False)
        with pytest.raises(ValidationError) as caught:
            NotificationResponse.model_validate({"user_id": "7"})
        assert refused_at(caught) == [("delivered",), ("user_connected",)]

    @pytest.mark.parametrize(("connections", "connected"), [(0, False), (2, True)])
    def test_an_older_server_counts_connections_only(self, connections: int, connected: bool) -> None:
        said = {"user_id": "7", "delivered": connected, "connections": connections, "error": None}
        assert NotificationResponse.model_validate(said).user_connected is connected

    def test_batches(self) -> None:
        note = NotificationRequest(**NOTE)
        assert len(BatchNotificationRequest(notifications=[note] * 1000).notifications) == 1000
        for count in (0, 1001):
            with pytest.raises(ValidationError):
                BatchNotificationRequest(notifications=[note] * count)
        away = NotificationResponse(user_id="7", delivered=False, user_connected=False)
        answer = BatchNotificationResponse(total=2, delivered=1, failed=1, results=[away])
        assert answer.results == [away]
        with pytest.raises(ValidationError):
            BatchNotificationResponse(total=-1, delivered=0, failed=0, results=[])


class TestBroadcasts:
    @pytest.mark.parametrize(
        "address",
        [
            {"target": "all"},
            {"target": "room", "room": "lobby"},
            {"target": "user", "user_id": "7"},
            {"target": "users", "user_ids": ["7", "8"]},
        ],
    )
    def test_each_target_has_its_address(self, address: dict[str, Any]) -> None:
        made = BroadcastRequest(event_type="system_update", payload={"version": "2.0"}, **address)

        assert made.model_dump(include={"target", *address}) == address
        assert BroadcastRequest.model_validate_json(made.model_dump_json()) == made

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ({"target": "room"}, "the target 'room' needs room"),
            ({"target": "user"}, "the target 'user' needs user_id"),
            ({"target": "users"}, "the target 'users' needs user_ids"),
            ({"target": "all", "user_ids": ["7"]}, "user_ids is given, but the target is 'all', not 'users'"),
            ({"target": "users", "user_ids": ["7"], "room": "x"}, "room is given, but the target is 'users'"),
            ({"target": "users", "user_ids": []}, "at least 1 item"),
            ({"target": "room", "room": ""}, "at least 1 character"),
            ({"target": "world"}, "'all', 'room', 'user' or 'users'"),
        ],
    )
    def test_a_wrong_address_is_refused(self, address: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            BroadcastRequest.model_validate({"event_type": "e", "payload": {}} | address)

    @pytest.mark.parametrize(
        ("said", "event", "payload"),
        [
            (
                {"type": "warning", "title": "Soon", "message": "Maintenance", "data": {"minutes": 5}},
                "warning",
                {"title": "Soon", "message": "Maintenance", "data": {"minutes": 5}},
            ),
            (
                {"title": "Hello", "message": "All", "data": None},
                "info",
                {"title": "Hello", "message": "All"},
            ),
        ],
    )
    def test_the_older_shape_is_read(self, said: dict[str, Any], event: str, payload: dict[str, Any]) -> None:
        made = BroadcastRequest.model_validate({"target": "room", "room": "lobby", **said})

        assert (made.event_type, made.payload, made.room) == (event, payload, "lobby")

    def test_an_event_of_its_own_goes_before_the_older_shape(self) -> None:
        given = {"target": "all", "event_type": "e", "payload": {"n": 1}, "message": "unknown key"}

        assert BroadcastRequest.model_validate(given).payload == {"n": 1}

    def test_a_response_counts(self) -> None:
        assert BroadcastResponse(target="all", recipients=3).recipients == 3
        with pytest.raises(ValidationError):
            BroadcastResponse(target="all", recipients=-1)


class TestErrors:
    @pytest.mark.parametrize("length", [1, 500])
    def test_lengths_of_messages(self, length: int) -> None:
        assert len(RPCError(code=RPCErrorCode.TIMEOUT, message="x" * length).message) == length

    @pytest.mark.parametrize("length", [0, 501])
    def test_wrong_lengths_of_messages(self, length: int) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCError(code=RPCErrorCode.TIMEOUT, message="x" * length)
        assert refused_at(caught) == [("message",)]

    @pytest.mark.parametrize("code", RPCErrorCode)
    def test_retryable_follows_from_the_code(self, code: RPCErrorCode) -> None:
        assert RPCError(code=code, message="m").retryable is code.retryable
        assert RPCError.model_validate({"code": str(code), "message": "m"}).retryable is code.retryable
        assert RPCError(code=code, message="m", retryable=not code.retryable).retryable is not code.retryable

    def test_codes_are_those_of_the_enum_or_the_methods_own(self) -> None:
        assert RPCError.model_validate({"code": "timeout", "message": "m"}).code is RPCErrorCode.TIMEOUT
        own = RPCError(code="locked", message="m")
        assert (own.code, own.retryable) == ("locked", False)

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
    def test_retry_after_is_a_duration(self, seconds: float) -> None:
        with pytest.raises(ValidationError) as caught:
            RPCError(code=RPCErrorCode.TIMEOUT, message="m", retry_after=seconds)
        assert refused_at(caught) == [("retry_after",)]

    @pytest.mark.parametrize(
        ("error", "code", "retryable"),
        [
            (RPCValidationError(message="m", validation_errors=[{"field": "a"}]), RPCErrorCode.VALIDATION_ERROR, False),
            (TimeoutError(message="m", timeout_seconds=5), RPCErrorCode.TIMEOUT, True),
            (UserNotConnectedError(message="m", user_id="7"), RPCErrorCode.USER_NOT_CONNECTED, False),
            (RateLimitError(message="m", limit=5, window_seconds=60), RPCErrorCode.RATE_LIMIT_EXCEEDED, True),
        ],
    )
    def test_special_errors_know_their_codes(self, error: RPCError, code: RPCErrorCode, retryable: bool) -> None:
        assert (error.code, error.retryable) == (code, retryable)
        assert type(error).model_validate_json(error.model_dump_json()) == error

    @pytest.mark.parametrize(
        ("kind", "field", "wrong"),
        [
            (RPCValidationError, "validation_errors", "x"),
            (TimeoutError, "timeout_seconds", -1),
            (UserNotConnectedError, "user_id", ""),
            (RateLimitError, "limit", 0),
            (RateLimitError, "window_seconds", 0),
        ],
    )
    def test_what_they_add_must_be_given_and_fit(self, kind: type[RPCError], field: str, wrong: object) -> None:
        for given_fields in ({}, {field: wrong}):
            with pytest.raises(ValidationError) as caught:
                kind.model_validate({"message": "m", **given_fields})
            assert (field,) in refused_at(caught)

    def test_they_are_no_exceptions(self) -> None:
        assert not issubclass(RPCError, BaseException)
        assert issubclass(errors.RPCError, BaseException)


class TestConnections:
    def test_what_is_not_given(self) -> None:
        first, second = (ConnectionInfo(user_id="7", server_id="s1", ip_address="10.0.0.1") for _ in range(2))

        assert first.connection_id != second.connection_id
        assert (first.user_agent, first.metadata) == (None, None)
        assert datetime.now(UTC) - first.last_activity < timedelta(minutes=1)
        assert first.connected_at.tzinfo is UTC

    @pytest.mark.parametrize(
        ("given_address", "text"),
        [("192.168.1.1", "192.168.1.1"), ("2001:DB8::0:1", "2001:db8::1"), (IPv6Address("::1"), "::1")],
    )
    def test_addresses(self, given_address: Any, text: str) -> None:
        made = ConnectionInfo(user_id="7", server_id="s1", ip_address=given_address)

        assert made.ip_address == text
        assert ConnectionInfo.model_validate_json(made.model_dump_json()) == made

    @pytest.mark.parametrize("address", ["", "localhost", "256.1.1.1", "10.0.0.1:80", "1.2.3", 16909060, None])
    def test_what_is_no_address(self, address: object) -> None:
        with pytest.raises(ValidationError) as caught:
            ConnectionInfo.model_validate({"user_id": "7", "server_id": "s1", "ip_address": address})
        assert refused_at(caught) == [("ip_address",)]

    def test_updates_name_a_connection(self) -> None:
        one = UUID(int=1)
        assert ConnectionStateUpdate(connection_id=one).last_activity is None
        with pytest.raises(ValidationError) as caught:
            ConnectionStateUpdate.model_validate({"metadata": {}})
        assert refused_at(caught) == [("connection_id",)]


MODELS = [model for name in websocket.__all__ if isinstance(model := getattr(websocket, name), type)]


@pytest.mark.parametrize("model", [model for model in MODELS if issubclass(model, BaseModel)])
def test_every_model_tolerates_unknown_keys_and_describes_its_fields(model: type[BaseModel]) -> None:
    assert model.model_config.get("extra") == "ignore"
    assert model.__doc__
    assert all(field.description for field in model.model_fields.values())


def test_the_wire_needs_neither_redis_nor_django() -> None:
    code = (
        "import sys, django_cfg.models.websocket;"
        "assert not {'redis', 'django'} & set(sys.modules), 'imported'; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "ok\n", done.stderr
