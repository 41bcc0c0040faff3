"""What shows the most about a Redis, on a Valkey: tests of other modules, run once more."""

# ruff: noqa: F401 - tests and their fixtures are imported for pytest to find them here
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_cfg.tests.websocket.redis_server import PROGRAM, RedisServer, missing_program
from django_cfg.tests.websocket.test_client import (
    site,
    test_a_full_stream_refuses_at_once,
    test_a_key_makes_attempts_one_call,
    test_a_key_with_other_params_is_refused,
    test_a_missed_deadline_names_method_and_seconds,
    test_a_typed_call_returns_its_result_model,
    test_an_error_of_the_server_carries_its_code_and_text,
    test_attempts_at_the_same_time_run_once,
    test_broadcast_counts_subscribers,
    test_cancelling_withdraws_a_request_that_has_not_begun,
    test_every_thread_gets_its_own_reply,
    test_fire_and_forget_is_queued_without_a_server,
    test_fire_and_forget_runs_and_returns_the_id_of_its_entry,
    test_many_calls_give_results_and_errors_in_order,
    test_the_asynchronous_twins,
    test_without_a_server_a_call_fails_at_once,
)
from tests.redis.test_commands import (
    configured,
    server,
    test_a_requeued_letter_runs_again,
    test_dead_letters_are_listed_requeued_and_dropped,
    test_the_status_of_a_busy_server,
)
from tests.redis.test_defects import (
    client,
    test_02_what_a_dead_server_left_is_recovered_and_its_consumer_forgotten,
    test_08_a_lost_group_is_created_again,
)
from tests.redis.test_faults import (
    test_a_forgotten_script_is_sent_again,
    test_a_timeout_knows_who_has_the_request_and_that_nobody_has_it,
    test_a_timeout_says_what_it_knows,
    test_f05_a_call_survives_a_restart_that_keeps_the_data,
    test_f06_a_restart_that_loses_the_data_fails_what_is_pending_at_once,
    test_f23_redis_out_of_memory_is_said_at_once,
)
from tests.redis.test_sentinel import test_calls_go_on_with_the_new_master, watched
from tests.redis.test_users_of_redis import (
    guarded,
    test_a_server_process_takes_over_from_a_dead_one,
    test_both_roles_get_by_with_their_rights,
)

VALKEY = Path(__file__).parents[2] / ".cache" / "valkey" / "bin" / "valkey-server"
"""Where `scripts/setup --test` puts it."""


@pytest.fixture(scope="module", autouse=True)
def program() -> Iterator[None]:
    if shutil.which(VALKEY) is None:
        missing_program("Valkey")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRAM, str(VALKEY))
        yield


@pytest.fixture(scope="module")
def shared_redis(program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    shared = RedisServer(tmp_path_factory.mktemp("valkey"))
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture(params=["fused", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_these_servers_are_valkey(redis: Any, own_redis: RedisServer) -> None:
    with own_redis.client() as own:
        assert redis.info("server")["server_name"] == own.info("server")["server_name"] == "valkey"
