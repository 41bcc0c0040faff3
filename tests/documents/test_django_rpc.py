"""Document 4: a project that calls over a real Redis, its server in another process, and a browser's client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_cfg.tests.websocket.redis_server import RedisServer
from tests.documents.accounting import find, runs
from tests.documents.corrections import placed
from tests.documents.markdown import Block
from tests.documents.project import ROOT, Project

DOCUMENT = Path(__file__).with_name("4-django-rpc.md")
PACKAGE = ROOT / "django_cfg"
DOCUMENTED_REDIS = "redis://localhost:6379/2"

HANDLERS = """
import asyncio
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from django_cfg.apps.centrifugo.decorators import websocket_rpc
from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.rpc.router import get_global_router

EVENTS = Path(__file__).with_name("events")
TRIES = Path(__file__).with_name("tries")  # of all processes that answer

class EventLog(BaseModel):
    event: str
    user_id: str

class Nothing(BaseModel): ...

@websocket_rpc("log_event")
async def log_event(conn, params: EventLog) -> Nothing:
    EVENTS.write_text(f"{params.event} {params.user_id}")
    return Nothing()

@websocket_rpc("slow")
async def slow(conn, params: Nothing) -> Nothing:
    await asyncio.sleep(60)
    return Nothing()

@websocket_rpc("notify_absent")
async def notify_absent(conn, params: Nothing) -> Nothing:
    raise RPCError("user 42 is away", code=RPCErrorCode.USER_NOT_CONNECTED)

@get_global_router().register("busy_at_first")
async def busy_at_first(conn, params: Any) -> Any:
    if not TRIES.exists():
        TRIES.touch()
        raise RPCError("try again", code=RPCErrorCode.SERVICE_UNAVAILABLE, retry_after=0.25)
    return {"again": True}

@websocket_rpc("broken")
async def broken(conn, params: Nothing) -> Nothing:
    raise ValueError("it cannot be done")
"""

URLS = """
from django.urls import path
from shop.views import notify_user

urlpatterns = [path("notify/<int:user_id>", notify_user)]
"""

BROWSER = """
import asyncio, json, urllib.request
from django_cfg.apps.centrifugo.codegen.runtime.python.rpc_client import CentrifugoRPCClient
from django_cfg.apps.centrifugo.tokens import create_connection_token

async def get(address):
    return json.load(await asyncio.to_thread(urllib.request.urlopen, address))

received = asyncio.Queue()
browser = CentrifugoRPCClient({url!r}, create_connection_token(42), "42")
for event in ("order_update", "async_event", "system_update"):
    browser.on(event, received.put_nowait)
await browser.connect()
"""

CALLER = "from django_cfg.modules.django_rpc import get_rpc_client\nrpc = get_rpc_client()\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer) -> Iterator[Project]:
    """It calls, `rpc_server` answers, and a browser of user 42 is connected to it."""
    with shared_redis.client() as redis:
        redis.flushall()
    project = Project.create(tmp_path_factory.mktemp("shop"), ["django_cfg.modules.django_rpc", "shop"])
    settings = (project.directory / "scratch_settings.py").read_text()
    documented = placed(find("4:50").text, {DOCUMENTED_REDIS: shared_redis.url})
    local = f'CENTRIFUGO = {{"api_url": "http://{project.address}/api"}}\n'
    project.write("scratch_settings.py", settings + documented + local)
    project.write("scratch_urls.py", URLS)
    project.write("shop/handlers.py", HANDLERS)
    project.write("shop/views.py", find("4:69").text)
    project.write("shop/tasks.py", find("4:286").text)
    with project:
        project.start("python manage.py rpc_server")
        project.session.run(BROWSER.format(url=project.url) + CALLER)
        yield project


@runs("4:50")
def test_the_settings_hold_every_option(shop: Project, block: Callable[[str], Block]) -> None:
    assert "websocket_rpc=WebSocketRPCConfig(" in block("4:50").text
    options = shop.session.value("__import__('django.conf', fromlist=['settings']).settings.WEBSOCKET_RPC")
    assert (options["enabled"], options["rpc_timeout"], options["stream_maxlen"]) == (True, 30, 10000)


@runs("4:69")
def test_the_quick_start_reaches_a_browser(shop: Project, block: Callable[[str], Block]) -> None:
    assert block("4:69").text == (shop.directory / "shop/views.py").read_text()
    there = shop.session.value(f"await get('http://{shop.address}/notify/42')")
    assert there == {"delivered": True, "user_connected": True}
    data = shop.session.value("await asyncio.wait_for(received.get(), 15)")
    assert (data["title"], data["priority"]) == ("Order Confirmed", "high")
    away = shop.session.value(f"await get('http://{shop.address}/notify/7')")
    assert away == {"delivered": False, "user_connected": False}


@runs("4:131", "4:152", "4:171", "4:193")
def test_the_api_examples(shop: Project, shared_redis: RedisServer, block: Callable[[str], Block]) -> None:
    session = shop.session
    session.run(
        "from pydantic import BaseModel\nfrom django_cfg.models.websocket import BroadcastRequest\n"
        "from shop.handlers import EVENTS, EventLog\n"
        "class EchoParams(BaseModel):\n    message: str\nclass EchoResult(BaseModel):\n    message: str\n"
        "async def until(condition):\n"
        "    for _ in range(1500):\n        if condition():\n            return\n        await asyncio.sleep(0.01)\n"
        "    raise TimeoutError\n"
    )
    session.run(block("4:131"))
    assert session.value("isinstance(result, EchoResult) and result.message") == "Hello"

    session.run(block("4:152"))
    assert re.fullmatch(r"\d+-\d+", session.value("message_id"))
    session.run("await until(lambda: EVENTS.exists() and EVENTS.read_text() == 'user_login 123')")

    session.run(
        "import redis\n"
        f"_redis = redis.Redis.from_url({shared_redis.url!r})\n"
        "await until(lambda: _redis.pubsub_numsub('notifications:broadcast')[0][1] == 2)\n"
        "await until(lambda: _redis.exists('rpc:listener:notifications:broadcast:stream:requests'))\n_redis.close()\n"
    )
    session.run(block("4:171"))
    assert session.value("subscribers") == 2, "rpc_server and runcentrifugo hear it"
    assert session.value("await asyncio.wait_for(received.get(), 15)") == {"version": "2.0"}

    assert session.run(block("4:193")) == "RPC system healthy\n"
    nobody = "rpc = type(rpc)(WebSocketRPCConfig(enabled=True, redis_url='redis://127.0.0.1:1/0'))\n"
    session.run("from django_cfg.modules.django_rpc import WebSocketRPCConfig\n" + nobody)
    assert session.run(block("4:193")) == ""
    session.run("rpc = get_rpc_client()")


@runs("4:246")
def test_the_options_and_their_defaults(shop: Project, block: Callable[[str], Block]) -> None:
    session = shop.session
    session.run("import inspect\n" + block("4:246").text)
    session.run(
        "documented = inspect.signature(WebSocketRPCConfig, eval_str=True).parameters\n"
        "from django_cfg.modules.django_rpc import WebSocketRPCConfig\n"
        "defaults = WebSocketRPCConfig()\n"
        "for name, option in documented.items():\n"
        "    assert type(option.default) is option.annotation, name\n"
        "    assert getattr(defaults, name) == option.default, name\n"
        "    assert WebSocketRPCConfig(**{name: option.default}) == defaults, name\n"
    )
    assert session.value("len(documented)") == 16


@runs("4:286")
def test_a_dramatiq_actor_calls(shop: Project, block: Callable[[str], Block]) -> None:
    """The client is made when the module is imported: by a worker's threads, and by a process that is forked later."""
    assert block("4:286").text == (shop.directory / "shop/tasks.py").read_text()
    session = shop.session
    session.run(
        "import dramatiq, os\n"
        "from dramatiq.brokers.stub import StubBroker\nfrom dramatiq.results import Results\n"
        "from dramatiq.results.backends import StubBackend\n"
        "broker = StubBroker()\nbackend = StubBackend()\n"
        "broker.add_middleware(Results(backend=backend, store_results=True))\n"
        "dramatiq.set_broker(broker)\n"
        "from shop import tasks\n"
        "assert tasks.rpc.health_check()\n"
        "worker = dramatiq.Worker(broker, worker_timeout=50)\nworker.start()\n"
        "message = tasks.send_async_notification.send('42', 'From a task')\n"
    )
    result = session.value("message.get_result(backend=backend, block=True, timeout=15000)")
    assert (result["user_id"], result["delivered"]) == ("42", True)
    assert session.value("await asyncio.wait_for(received.get(), 15)")["message"] == "From a task"
    session.run("broker.join('notifications', timeout=15000)\nworker.join()\nworker.stop()\nbroker.close()\n")

    session.run(
        "import warnings\n"
        "with warnings.catch_warnings():\n"
        "    warnings.simplefilter('ignore')  # newer Pythons warn of the other threads\n"
        "    child = os.fork()\n"
        "if not child:\n"
        "    status = 1\n"
        "    try:\n"
        "        sent = tasks.send_async_notification.fn('42', 'From a child')\n"
        "        status = 0 if sent['delivered'] else 2\n"
        "    finally:\n"
        "        os._exit(status)\n"
    )
    assert session.value("os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])") == 0
    assert session.value("await asyncio.wait_for(received.get(), 15)")["message"] == "From a child"
    assert session.value("tasks.rpc.health_check()") is True, "the parent's connections are its own"


@runs("4:318")
def test_a_timeout(shop: Project, block: Callable[[str], Block]) -> None:
    shop.session.run("import logging\nlogger = logging.getLogger('shop')\nparams = {}\nlines = []\n")
    shop.session.run("logger.warning = lines.append\n")
    shop.session.run(block("4:318"))
    assert shop.session.value("lines") == ["RPC timeout: slow after 5.0s"]


@runs("4:330")
def test_remote_errors(shop: Project, block: Callable[[str], Block]) -> None:
    session, code = shop.session, block("4:330")
    session.run(
        "import time\nparams = {'n': 1}\nqueued = []\nqueue_for_later = queued.append\nmethod = 'notify_absent'\n"
    )
    session.run(code)
    assert session.value("queued") == [{"n": 1}]
    session.run("method = 'busy_at_first'\nstarted = time.monotonic()")
    session.run(code)
    assert session.value("result") == {"again": True}
    assert session.value("time.monotonic() - started >= 0.25") is True
    session.run("method = 'broken'")
    assert session.error(code).endswith("RPCRemoteError: it cannot be done")


@runs("4:20")
def test_the_files_are_where_the_document_says(block: Callable[[str], Block]) -> None:
    folders: list[str] = []
    for line in block("4:20").text.splitlines():
        found = re.fullmatch(r"([│ ├└─]*)([\w./]+).*", line)
        if found is None or not found[2]:
            continue
        depth = len(found[1]) // 4
        folders[depth:] = [found[2].rstrip("/")]
        assert ROOT.joinpath(*folders).exists(), "/".join(folders)
    named = re.findall(r"^\| `(\w+\.py)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert len(named) == 9
    for name in named:
        assert any((PACKAGE / folder / name).exists() for folder in ("models/websocket", "modules/django_rpc")), name


def test_every_model_of_the_lists_exists(shop: Project) -> None:
    section = re.search(r"^## Pydantic Models\n(.*?)^## ", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert section is not None
    names = [
        name.replace("TParams", "dict").replace("TResult", "dict") for name in re.findall(r"- `(.*?)`", section[1])
    ]
    assert len(names) == 18
    shop.session.run("from django_cfg.models.websocket import *\n" + "".join(f"{name}\n" for name in names))


@runs("4:355")
def test_the_commands_of_the_tests_find_them(block: Callable[[str], Block]) -> None:
    """Only the models' tests run here: this suite runs all of them itself."""
    models, client, everything = (line for line in block("4:355").text.splitlines() if line.startswith("pytest"))
    root = Project(ROOT)
    passed = re.search(r"^=+ (\d+) passed", root.run(models), re.MULTILINE)
    assert passed is not None
    collected = [
        re.search(r"(\d+) tests collected", root.run(f"PYTEST_ADDOPTS=--collect-only {command}"))
        for command in (client, everything)
    ]
    of_client, of_all = (int(found[1]) for found in collected if found is not None)
    assert 0 < of_client < of_all
    assert int(passed[1]) + of_client <= of_all
