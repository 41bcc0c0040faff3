"""Where a proxied call meets the runner: shared by the embedded server, the worker and the Django views."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from django_cfg.apps.centrifugo import proxy
from django_cfg.apps.centrifugo.config import CentrifugoConfig
from django_cfg.apps.centrifugo.proxy_wire import ProxyAnswer, PublishProxyRequest, RPCProxyRequest
from django_cfg.errors import RPCError
from django_cfg.rpc.call import Call, Reply
from django_cfg.rpc.runner import CallRunner

__all__ = ["RPCEndpoint"]


class RPCEndpoint:
    """Answers both proxies. `deliver(channel, data)` publishes a reply; it belongs to the runner's event loop."""

    def __init__(
        self,
        runner: CallRunner,
        config: CentrifugoConfig,
        deliver: Callable[[str, bytes], Awaitable[None]],
        *,
        answer_first: bool = True,
    ) -> None:
        self.runner = runner
        self._limits = proxy.CallLimits.of(config)
        self._max_reply_bytes = config.max_reply_bytes
        self._deliver = deliver
        self._answer_first = answer_first

    async def publish(self, request: PublishProxyRequest) -> ProxyAnswer:
        """Accepted at once, while the call runs on its own; where no loop outlives the request, after it has run."""
        try:
            call = proxy.read_publish(request, self._limits)
            if self._answer_first:
                self.runner.start(call, self._encoder(call), self._sender(call))
            else:
                await self.runner.run_claimed(call, self._encoder(call), self._sender(call))
        except RPCError as error:
            return proxy.refusal(error)
        return proxy.ACCEPTED

    async def rpc(self, request: RPCProxyRequest) -> ProxyAnswer:
        """Answered when the call has run."""
        try:
            call = proxy.read_rpc(request, self._limits)
        except RPCError as error:
            return proxy.refusal(error)
        return proxy.rpc_answer(await self.runner.run(call), self._max_reply_bytes)

    def _encoder(self, call: Call) -> Callable[[Reply], bytes]:
        return lambda reply: proxy.encode_reply(call.correlation_id, reply, self._max_reply_bytes)

    def _sender(self, call: Call) -> Callable[[bytes], Awaitable[None]]:
        return partial(self._deliver, proxy.reply_channel(call))
