from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import handlers to register them with the router."""
        from . import centrifugo_handlers as centrifugo_handlers
