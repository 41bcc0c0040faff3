import os

SECRET_KEY = "redis-tests-secret-key-of-more-than-fifty-characters-0123456789"
DEBUG = True
INSTALLED_APPS = ["django_cfg.apps.centrifugo", "tests.redis.site"]
if os.environ.get("SITE_ANSWERS", "yes") == "yes":  # the settings alone are enough to call
    INSTALLED_APPS.append("django_cfg.modules.django_rpc")
WEBSOCKET_RPC = {"enabled": True, "redis_url": os.environ["SITE_REDIS_URL"], "enable_bridge": True}
ROOT_URLCONF = "tests.redis.site.urls"
CENTRIFUGO = {
    "api_url": f"http://127.0.0.1:{os.environ.get('SITE_CENTRIFUGO_PORT', '1')}/api",
    "token_secret": "redis-tests-token-secret-0123456789abcdef",
}
USE_TZ = True
