"""The Django project that the end-to-end tests call; ports and the database come from the environment."""

import os

SECRET_KEY = "end-to-end-only-secret-key-of-more-than-fifty-characters-0123"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "e2e_urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_cfg.apps.centrifugo",
    "calls",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("E2E_DATABASE", ":memory:")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CENTRIFUGO = {
    "token_secret": "end-to-end-token-secret-0123456789abcdef",
    "proxy_secret": "end-to-end-proxy-secret-0123456789abcdef",
    "api_key": "end-to-end-api-key-0123456789abcdef01234",
    "api_url": f"http://127.0.0.1:{os.environ.get('E2E_PORT', '8000')}/api",
    "proxy_url": f"http://127.0.0.1:{os.environ.get('E2E_WORKER_PORT', '8010')}/centrifugo",
    "drain_timeout_seconds": 10,
}
