"""The Django project of the test suite."""

import os
import tempfile

SECRET_KEY = "tests-only-secret-key-of-more-than-fifty-characters-0123456789"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_cfg.apps.centrifugo",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
# A file, because several threads use it: a database in memory has one lock for all of them.
TEST_DATABASE = os.path.join(tempfile.gettempdir(), f"django_cfg_tests_{os.getpid()}.sqlite3")
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "TEST": {"NAME": TEST_DATABASE}},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
