"""Django's settings in the processes of `benchmarks.grpc_commands`."""

SECRET_KEY = "benchmark-secret-key-of-more-than-fifty-characters-0123456789"
ALLOWED_HOSTS = ["*"]
