"""The site's settings, with a database that is reached over TCP and keeps its connections."""

import os

from tests.redis.site.settings import *  # noqa: F403 - all but what is named here

INSTALLED_APPS = ["django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc", "tests.redis.postgres"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": os.environ["SITE_DATABASE_PORT"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
}
