from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.todos.models import Todo

NAME = "demo"
TODOS = (  # the newest first, as the page shows them
    ("Open this page in a second window and watch it follow", False),
    ("Stop the server, tick this, and start the server again", False),
    ("Write one async function with a Pydantic model", True),
    ("Generate the typed clients", True),
)


class Command(BaseCommand):
    help = "Creates the database, the account demo/demo and a few todos; running it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("a well-known password belongs on no site that others can reach: DEBUG is off")
        call_command("migrate", verbosity=0)
        user, created = get_user_model().objects.get_or_create(username=NAME)
        if created:
            user.set_password(NAME)
            user.save(update_fields=["password"])
            for title, completed in reversed(TODOS):
                Todo.objects.create(user=user, title=title, completed=completed)
        self.stdout.write(f"Log in as {NAME} with the password {NAME}, in two windows to see one follow the other.")
