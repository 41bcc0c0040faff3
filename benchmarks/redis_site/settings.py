import os

SECRET_KEY = "benchmark-secret-key-of-more-than-fifty-characters-0123456789"
DEBUG = False
INSTALLED_APPS = ["django_cfg.apps.centrifugo", "django_cfg.modules.django_rpc", "benchmarks.redis_site"]
WEBSOCKET_RPC = {"enabled": True, "redis_url": os.environ["BENCHMARK_REDIS_URL"], "request_stream": "bench:ours"}
CENTRIFUGO = {
    "api_url": "http://127.0.0.1:1/api",
    "token_secret": "benchmark-token-secret-0123456789abcdef",
    "api_key": "benchmark-api-key-0123456789abcdef",
    "proxy_secret": "benchmark-proxy-secret-0123456789abcdef",
    "allowed_origins": [],
}
USE_TZ = True
