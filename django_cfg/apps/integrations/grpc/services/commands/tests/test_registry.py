"""The registry: names and services, from any thread, never a service with agents replaced in silence."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from django_cfg.apps.integrations.grpc.services.commands import registry
from django_cfg.apps.integrations.grpc.services.commands.examples.server import FleetServicer
from django_cfg.apps.integrations.grpc.services.commands.registry import (
    clear_registry,
    get_streaming_service,
    is_registered,
    list_streaming_services,
    register_streaming_service,
    set_streaming_service,
    unregister_streaming_service,
)
from django_cfg.apps.integrations.grpc.services.commands.tests.serving import Serving
from django_cfg.errors import RegistrationError


def new_service() -> Any:
    return FleetServicer()._streaming_service  # pyright: ignore[reportPrivateUsage] - as document 5 does


def test_names_and_services() -> None:
    one, other = new_service(), new_service()
    register_streaming_service("two", one)
    set_streaming_service("one", other)

    assert list_streaming_services() == ["one", "two"]
    assert get_streaming_service("two") is one
    assert get_streaming_service("three") is None
    assert is_registered("one")
    assert not is_registered("three")

    assert unregister_streaming_service("one")
    assert not unregister_streaming_service("one")
    assert list_streaming_services() == ["two"]

    clear_registry()
    assert list_streaming_services() == []


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(RegistrationError, match="not empty"):
        register_streaming_service("", new_service())
    number: Any = 5
    with pytest.raises(RegistrationError, match="a text that is not empty, not 5"):
        register_streaming_service(number, new_service())
    nothing: Any = None
    with pytest.raises(RegistrationError, match="'fleet': it is None"):
        register_streaming_service("fleet", nothing)
    servicer: Any = FleetServicer()
    with pytest.raises(RegistrationError, match="FleetServicer is no streaming service, but holds one"):
        register_streaming_service("fleet", servicer)


def test_the_same_service_may_be_registered_again(caplog: pytest.LogCaptureFixture) -> None:
    service = new_service()
    register_streaming_service("fleet", service)
    register_streaming_service("fleet", service)
    assert get_streaming_service("fleet") is service
    assert not caplog.records


def test_a_service_without_agents_is_replaced_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    register_streaming_service("fleet", new_service())
    successor = new_service()
    with caplog.at_level(logging.WARNING):
        register_streaming_service("fleet", successor)
    assert get_streaming_service("fleet") is successor
    assert "'fleet'" in caplog.text


@pytest.mark.parametrize("stand_in", [object(), Mock()], ids=["object", "mock"])
def test_a_stand_in_has_no_agents(stand_in: Any) -> None:
    register_streaming_service("fleet", stand_in)
    service = new_service()
    register_streaming_service("fleet", service)
    assert get_streaming_service("fleet") is service


def test_a_service_with_agents_is_replaced_only_when_that_is_meant(serving: Serving) -> None:
    live, other = serving.servicer.service, new_service()
    register_streaming_service("fleet", live)

    with pytest.raises(RegistrationError, match="has 1 connected agents"):
        register_streaming_service("fleet", other)
    assert get_streaming_service("fleet") is live

    register_streaming_service("fleet", other, replace=True)
    assert get_streaming_service("fleet") is other


def test_threads_register_and_read_at_the_same_time() -> None:
    services = [new_service() for _ in range(8)]
    wrong: list[str] = []
    start = threading.Barrier(len(services))

    def use(number: int) -> None:
        start.wait()
        for turn in range(200):
            name = f"{number}-{turn}"
            register_streaming_service(name, services[number])
            list_streaming_services()
            if get_streaming_service(name) is not services[number] or not unregister_streaming_service(name):
                wrong.append(name)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(len(services))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list_streaming_services() == []


def test_a_forked_child_holds_none_even_if_the_lock_was_held() -> None:
    register_streaming_service("fleet", new_service())
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with registry._lock:  # pyright: ignore[reportPrivateUsage]
            taken.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        child = os.fork()
        if child == 0:
            os._exit(0 if list_streaming_services() == [] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        release.set()
        holder.join()
    assert list_streaming_services() == ["fleet"]
