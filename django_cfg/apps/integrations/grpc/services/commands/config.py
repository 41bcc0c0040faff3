"""Pure: where a command client dials, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

from django_cfg.apps.integrations.grpc.hosts import is_host
from django_cfg.apps.integrations.grpc.services.commands.order import LONGEST_SECONDS
from django_cfg.errors import ConfigurationError

__all__ = ["CommandClientConfig", "HostOfSettings"]

_HIGHEST_PORT = 65_535
_TIMEOUTS = ("queue_timeout", "connect_timeout", "call_timeout")


class HostOfSettings(str):
    """Unlike the same text given by somebody, only what stands there where nobody has given a host."""

    __slots__ = ()


HOST_OF_SETTINGS = HostOfSettings("localhost")


@dataclass(frozen=True, slots=True)
class CommandClientConfig:
    """One object may serve any number of clients: nothing ever changes it. Raises ConfigurationError."""

    queue_timeout: float = 5.0
    """Seconds that `send_command` waits for room in an agent's queue, in the process that has its stream; 0: none."""
    connect_timeout: float = 3.0
    """Seconds to wait for a connection to the server, which is kept and used again."""
    call_timeout: float = 5.0
    """Seconds to wait for the server's answer, and for the agent's where a call names no other time."""
    grpc_host: str = HOST_OF_SETTINGS
    """That of `settings.GRPC` where none is given."""
    grpc_port: int | None = None
    """None is the port of `settings.GRPC`."""

    def __post_init__(self) -> None:
        for name in _TIMEOUTS:
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= LONGEST_SECONDS):
                raise ConfigurationError(
                    f"{name} must be a number of seconds from 0 to {LONGEST_SECONDS:g} (a day), not {value!r}"
                )
        if not self.connect_timeout or not self.call_timeout:
            raise ConfigurationError("connect_timeout and call_timeout must be above 0: nothing answers in no time")
        if not isinstance(self.grpc_host, str) or not is_host(self.grpc_host):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"grpc_host must name a host alone, such as 'fleet.example.com', not {self.grpc_host!r}; the port is"
                " grpc_port"
            )
        if self.grpc_port is not None and not _is_port(self.grpc_port):
            raise ConfigurationError(
                f"grpc_port must be from 1 to {_HIGHEST_PORT}, not {self.grpc_port!r}; leave it out (None) for the"
                " port of settings.GRPC"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _HIGHEST_PORT
