"""`memory://` in Django's TestCase, whose rows no other thread sees."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[4]

SETTINGS = """
SECRET_KEY = "for this test only, and longer than fifty characters, as it should be"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_cfg.modules.django_rpc"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
WEBSOCKET_RPC = {"enabled": True, "redis_url": "memory://", "rpc_timeout": 5}
USE_TZ = True
"""

TESTS = """
import threading

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase

from django_cfg.errors import RPCTimeoutError
from django_cfg.modules.django_rpc import get_rpc_client
from django_cfg.rpc.router import get_global_router

router = get_global_router()


@router.register("users.count")
async def count(conn, params):
    return await User.objects.acount()


@router.register("users.add")
async def add(conn, params):
    await User.objects.acreate(username=params["name"])
    return threading.current_thread() is threading.main_thread()


@router.register("users.add_through_another")
async def add_through_another(conn, params):
    await get_rpc_client().acall("users.add", {"name": params["name"] + "1"})
    await sync_to_async(get_rpc_client().call)("users.add", {"name": params["name"] + "2"})
    return await User.objects.acount()


@router.register("users.thread")
async def thread(conn, params):
    return await sync_to_async(lambda: threading.current_thread() is threading.main_thread())()


@router.register("users.never")
async def never(conn, params):
    await User.objects.acount()
    await sync_to_async(threading.Event().wait)(0.5)
    await User.objects.acount()


class InATransaction(TestCase):
    def setUp(self):
        User.objects.create(username="ann")
        self.rpc = get_rpc_client()

    def test_a_handler_sees_the_rows_of_the_test(self):
        self.assertEqual(self.rpc.call("users.count"), 1)
        self.assertTrue(self.rpc.call("users.thread"))

    def test_the_test_sees_the_rows_of_a_handler(self):
        self.rpc.call("users.add", {"name": "bob"})
        self.assertEqual(User.objects.count(), 2)

    def test_many_calls(self):
        self.rpc.call_many([("users.add", {"name": str(n)}) for n in range(5)])
        self.assertEqual(User.objects.count(), 6)
        self.assertEqual(self.rpc.call_many([]), [])

    def test_calls_inside_a_handler(self):
        self.assertEqual(self.rpc.call("users.add_through_another", {"name": "bob"}), 3)

    async def test_an_asynchronous_test(self):
        self.assertEqual(await self.rpc.acall("users.count"), 1)
        self.assertTrue(await self.rpc.acall("users.thread"))
        self.assertEqual(await self.rpc.acall("users.add_through_another", {"name": "bob"}), 3)

    async def test_another_asynchronous_test(self):
        self.assertNotEqual(threading.current_thread().name, "rpc-memory")
        self.assertEqual(await self.rpc.acall("users.count"), 1)

    def test_a_missed_deadline(self):
        with self.assertRaises(RPCTimeoutError):
            self.rpc.call("users.never", timeout=0.1)
        self.assertEqual(self.rpc.call("users.count"), 1)


class WithoutATransaction(TransactionTestCase):
    def test_handlers_have_threads_of_their_own(self):
        self.assertFalse(get_rpc_client().call("users.thread"))
"""


def test_handlers_work_in_the_transaction_of_the_test(tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    (tmp_path / "tests.py").write_text(textwrap.dedent(TESTS))
    done = subprocess.run(
        [sys.executable, "-m", "django", "test", "--settings", "site_settings", "--pythonpath", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Ran 8 tests" in done.stderr
