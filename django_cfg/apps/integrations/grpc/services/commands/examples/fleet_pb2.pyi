from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATE_UNSPECIFIED: _ClassVar[AgentState]
    STOPPED: _ClassVar[AgentState]
    STARTING: _ClassVar[AgentState]
    RUNNING: _ClassVar[AgentState]
    STOPPING: _ClassVar[AgentState]
AGENT_STATE_UNSPECIFIED: AgentState
STOPPED: AgentState
STARTING: AgentState
RUNNING: AgentState
STOPPING: AgentState

class AgentMessage(_message.Message):
    __slots__ = ("agent_id", "hello", "pong", "report")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    hello: Hello
    pong: Pong
    report: Report
    def __init__(self, agent_id: _Optional[str] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "state")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    version: str
    state: AgentState
    def __init__(self, version: _Optional[str] = ..., state: _Optional[_Union[AgentState, str]] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Report(_message.Message):
    __slots__ = ("command_id", "stage", "detail", "state", "config")
    class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STAGE_UNSPECIFIED: _ClassVar[Report.Stage]
        ACKNOWLEDGED: _ClassVar[Report.Stage]
        COMPLETED: _ClassVar[Report.Stage]
        REJECTED: _ClassVar[Report.Stage]
    STAGE_UNSPECIFIED: Report.Stage
    ACKNOWLEDGED: Report.Stage
    COMPLETED: Report.Stage
    REJECTED: Report.Stage
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    stage: Report.Stage
    detail: str
    state: AgentState
    config: AgentConfig
    def __init__(self, command_id: _Optional[str] = ..., stage: _Optional[_Union[Report.Stage, str]] = ..., detail: _Optional[str] = ..., state: _Optional[_Union[AgentState, str]] = ..., config: _Optional[_Union[AgentConfig, _Mapping]] = ...) -> None: ...

class AgentConfig(_message.Message):
    __slots__ = ("interval_seconds", "batch_size", "log_level")
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    interval_seconds: float
    batch_size: int
    log_level: str
    def __init__(self, interval_seconds: _Optional[float] = ..., batch_size: _Optional[int] = ..., log_level: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("command_id", "agent_id", "epoch", "sent_at_ms", "expires_in_ms", "start", "stop", "config_update", "ping", "reconnect")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_MS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    CONFIG_UPDATE_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    agent_id: str
    epoch: int
    sent_at_ms: int
    expires_in_ms: int
    start: Start
    stop: Stop
    config_update: ConfigUpdate
    ping: Ping
    reconnect: Reconnect
    def __init__(self, command_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., epoch: _Optional[int] = ..., sent_at_ms: _Optional[int] = ..., expires_in_ms: _Optional[int] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ..., config_update: _Optional[_Union[ConfigUpdate, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., reconnect: _Optional[_Union[Reconnect, _Mapping]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("reason", "grace_seconds")
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    grace_seconds: float
    def __init__(self, reason: _Optional[str] = ..., grace_seconds: _Optional[float] = ...) -> None: ...

class ConfigUpdate(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: AgentConfig
    def __init__(self, changes: _Optional[_Union[AgentConfig, _Mapping]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Reconnect(_message.Message):
    __slots__ = ("after_seconds",)
    AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    after_seconds: float
    def __init__(self, after_seconds: _Optional[float] = ...) -> None: ...

class SendCommandRequest(_message.Message):
    __slots__ = ("client_id", "command", "wait_for", "timeout_ms")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    command: Command
    wait_for: str
    timeout_ms: int
    def __init__(self, client_id: _Optional[str] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., wait_for: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class SendCommandResponse(_message.Message):
    __slots__ = ("success", "outcome", "detail", "may_have_run", "command_id", "epoch", "message")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MAY_HAVE_RUN_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    outcome: str
    detail: str
    may_have_run: bool
    command_id: str
    epoch: int
    message: AgentMessage
    def __init__(self, success: bool = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ..., may_have_run: bool = ..., command_id: _Optional[str] = ..., epoch: _Optional[int] = ..., message: _Optional[_Union[AgentMessage, _Mapping]] = ...) -> None: ...
