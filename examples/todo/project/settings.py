"""Settings for development: SQLite, the accounts that Django ships, and one app for the calls."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = True
SECRET_KEY = "development-only: a site that others can reach needs a random key of its own"  # noqa: S105 - says so itself

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_cfg.apps.centrifugo",
    "django_cfg.modules.django_rpc",
    "core",
    "apps.todos",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "core.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("TODO_DATABASE", BASE_DIR / "db.sqlite3"),
        # Several calls write at the same time: readers do not wait for a writer, and a second writer waits its turn.
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", "timeout": 10},
        "CONN_MAX_AGE": 60,  # seconds; a new connection for each call would cost more than the call
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "todos"
LOGOUT_REDIRECT_URL = "login"

# How plain blocking code, such as the view `remind`, reaches the windows. In this process; or over a Redis, where any
# process of the project can do the same.
WEBSOCKET_RPC = {"enabled": True, "redis_url": os.environ.get("TODO_REDIS_URL", "memory://")}

STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
