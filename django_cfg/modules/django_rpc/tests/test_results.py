from __future__ import annotations

import pytest

from django_cfg.errors import CallTimeoutError, RPCRemoteError, RPCTimeoutError
from django_cfg.modules.django_rpc.outgoing import prepare
from django_cfg.modules.django_rpc.results import read_result
from django_cfg.rpc.call import Reply, stopped

CALL = prepare("bank.pay", b"{}", 5.0)


@pytest.mark.parametrize(
    "error", [stopped("late"), CallTimeoutError("bank.pay did not finish within 5 s")], ids=["now", "older servers"]
)
def test_a_server_that_stopped_the_call_is_a_missed_deadline(error: CallTimeoutError) -> None:
    with pytest.raises(RPCTimeoutError, match="the server stopped it then") as caught:
        read_result(CALL, Reply.of_error(error), None)
    assert caught.value.called == "bank.pay"


def test_an_error_of_the_method_with_that_code_keeps_its_text() -> None:
    with pytest.raises(RPCRemoteError, match=r"^the other bank is slow$"):
        read_result(CALL, Reply.of_error(CallTimeoutError("the other bank is slow")), None)
