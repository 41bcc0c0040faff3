"""Pure: channel arguments of servers and clients, each with its reason (names: grpc/impl/channel_arg_names.h)."""

from __future__ import annotations

from django_cfg.apps.integrations.grpc.config import GRPCConfig
from django_cfg.apps.integrations.grpc.hosts import is_loopback

__all__ = ["OTHER_RPCS", "client_options", "server_options"]

Options = list[tuple[str, int | str]]

OTHER_RPCS = 1_000
"""RPCs at once beside agents' streams; further ones are refused with RESOURCE_EXHAUSTED."""
_WAITING_RPCS = 50_000
_MOST_WAITING_RPCS = 60_000
_HANDSHAKE_SECONDS = 20.0
_CONNECT_BACKOFF_SECONDS = (0.2, 5.0)
_CONNECT_ATTEMPT_SECONDS = 10.0


def server_options(config: GRPCConfig) -> Options:
    """For `grpc.aio.server(options=...)`."""
    return [
        # A second server on the port would bind silently, and agents would split over both.
        ("grpc.so_reuseport", 0),
        # By default from about 1,000 RPCs that wait to be accepted some are rejected: a fleet that reconnects is more.
        ("grpc.server.max_pending_requests", _WAITING_RPCS),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_WAITING_RPCS),
        ("grpc.max_concurrent_streams", config.max_concurrent_streams or config.max_agents + OTHER_RPCS),
        # A connection that never finishes its handshake is held for two minutes by default.
        ("grpc.server_handshake_timeout_ms", _ms(_HANDSHAKE_SECONDS)),
        # Clients' own keepalive on an idle stream is answered with GOAWAY "too_many_pings" if it is below this.
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(config.min_ping_interval_seconds)),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        *_keepalive(config.keepalive_seconds, config.keepalive_timeout_seconds),
    ]


def client_options(config: GRPCConfig, address: str = "") -> Options:
    """For agents and for this project's own clients; `address` is that of the server, with its port."""
    options: Options = [
        # By default a client waits up to two minutes between its attempts to reach a server that has come back.
        ("grpc.initial_reconnect_backoff_ms", _ms(_CONNECT_BACKOFF_SECONDS[0])),
        ("grpc.max_reconnect_backoff_ms", _ms(_CONNECT_BACKOFF_SECONDS[1])),
        # How long one attempt may take, in spite of its name: a busy server needs its time to answer.
        ("grpc.min_reconnect_backoff_ms", _ms(_CONNECT_ATTEMPT_SECONDS)),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", config.max_message_bytes),
        *_keepalive(config.client_keepalive_seconds, config.keepalive_timeout_seconds),
    ]
    if is_loopback(address.rpartition(":")[0].strip("[]")):
        # gRPC asks the proxy of `http_proxy` also for the machine that it is on.
        options.append(("grpc.enable_http_proxy", 0))
    if config.tls_server_name:
        options.append(("grpc.ssl_target_name_override", config.tls_server_name))
    return options


def _keepalive(seconds: float, timeout_seconds: float) -> Options:
    return [
        ("grpc.keepalive_time_ms", _ms(seconds)),
        ("grpc.keepalive_timeout_ms", _ms(timeout_seconds)),
        # The wait for an answer to a ping is this; without it a frozen peer is noticed after a minute at the earliest.
        ("grpc.http2.ping_timeout_ms", _ms(timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Pings of an idle stream are otherwise stopped after two.
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
