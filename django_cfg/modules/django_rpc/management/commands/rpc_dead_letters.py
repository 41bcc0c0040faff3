"""`manage.py rpc_dead_letters`: entries that nobody will run."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from django_cfg.modules.django_rpc.conf import get_config, signer_for
from django_cfg.modules.django_rpc.management.stream_choice import StreamChoiceCommand
from django_cfg.modules.django_rpc.protocol import Keys

if TYPE_CHECKING:
    from django_cfg.modules.django_rpc.dead_letters import DeadLetter

LETTER_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)


class Command(StreamChoiceCommand):
    help = "List dead letters, the newest first; show one whole, put one back into the stream, or drop one."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--show", metavar="ID", help="print it as JSON, its payload included")
        what.add_argument("--requeue", metavar="ID", help="put it back: it runs again, for no caller's sake")
        what.add_argument("--drop", metavar="ID")
        parser.add_argument("--count", type=int, default=20, metavar="N", help="how many to list (default 20)")
        parser.add_argument("--json", action="store_true", help="payloads included: parameters may hold secrets")

    def handle(self, *args: Any, **options: Any) -> None:
        from django_cfg.modules.django_rpc import dead_letters

        if options["count"] < 1:
            raise CommandError("--count must be 1 or more")
        for name in ("show", "requeue", "drop"):
            if options[name] is not None and not LETTER_ID.fullmatch(options[name]):
                raise CommandError(f"--{name} takes the id of a dead letter as the list shows it: 1700000000000-0")
        with self.opened(options) as (redis, keys):
            if given := options["show"]:
                letter = dead_letters.find_letter(redis, keys, given)
                if letter is None:
                    raise CommandError(f"there is no dead letter {given}")
                self.stdout.write(json.dumps(_shown(letter), indent=2))
            elif given := options["requeue"]:
                self._say(_requeued(redis, keys, given), given, "is back in the stream")
            elif given := options["drop"]:
                self._say(dead_letters.drop(redis, keys, given), given, "has been dropped")
            else:
                self._list(dead_letters.list_letters(redis, keys, options["count"]), as_json=options["json"])

    def _say(self, found: bool, letter_id: str, what: str) -> None:
        if not found:
            raise CommandError(f"there is no dead letter {letter_id}")
        self.stdout.write(f"{letter_id} {what}")

    def _list(self, letters: list[Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([_shown(letter) for letter in letters]))
            return
        for letter in letters:
            reason = "".join(mark if mark.isprintable() else " " for mark in letter.reason)
            self.stdout.write(f"{letter.id}  {letter.deliveries} deliveries  {reason}")
        if not letters:
            self.stdout.write("no dead letters")


def _requeued(redis: Any, keys: Keys, letter_id: str) -> bool:
    from django_cfg.modules.django_rpc import dead_letters

    try:
        return dead_letters.requeue(redis, keys, letter_id, signer_for(get_config(), keys.stream))
    except ValueError as error:
        raise CommandError(str(error)) from error


def _shown(letter: DeadLetter) -> dict[str, Any]:
    facts = dataclasses.asdict(letter)
    del facts["fields"]
    more = {name: getattr(letter, name) for name in ("user", "key", "timeout_ms", "payload")}
    return {**facts, **more}
