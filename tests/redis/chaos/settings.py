"""The site's settings, with the methods that keep a ledger."""

import os

from tests.redis.site.settings import *  # noqa: F403 - all but what is named here

INSTALLED_APPS = ["django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc", "tests.redis.chaos"]
WEBSOCKET_RPC = {
    "enabled": True,
    "redis_url": os.environ["SITE_REDIS_URL"],
    "response_key_ttl": 5,  # so that the end of a run need not be waited for
    "stream_maxlen": 100_000,
}
