"""`python manage.py generate_centrifugo_clients --output DIR --all`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_cfg.apps.centrifugo.codegen import write
from django_cfg.apps.centrifugo.codegen.discovery import discover_rpc_methods_from_router, load_router
from django_cfg.apps.centrifugo.codegen.generators import DEFAULT_GO_MODULE, LANGUAGES, Plan, make_plan
from django_cfg.apps.centrifugo.conf import given_config
from django_cfg.errors import ConfigurationError, GenerationError
from django_cfg.rpc.method import RPCMethodInfo

_RULE = "=" * 60
_NEXT_STEPS = {"python": "pip install -r requirements.txt", "typescript": "npm install", "go": "go mod tidy"}
_NO_METHODS = """There is nothing to generate.
  1. Check that the handlers are imported in AppConfig.ready()
  2. Check that they have the @websocket_rpc decorator
  3. Check the type hints of their parameters and results"""


class Command(BaseCommand):
    help = "Generate typed Python, TypeScript and Go clients for the project's RPC methods."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-o", "--output", required=True, help="directory for the clients")
        for language, title in LANGUAGES.items():
            parser.add_argument(f"--{language}", action="store_true", help=f"generate the {title} client")
        parser.add_argument("--all", action="store_true", help="generate all clients")
        parser.add_argument("--router-path", help="dotted path of a MessageRouter to use instead of the global one")
        parser.add_argument("--go-module", default=DEFAULT_GO_MODULE, help="module path in go.mod (%(default)s)")
        parser.add_argument("--strict-names", action="store_true", help="fail where a method would have to be renamed")
        parser.add_argument("--check", action="store_true", help="write nothing; a diff and exit 1 if files differ")
        parser.add_argument("--verbose", action="store_true", help="list every file")

    def handle(self, *args: Any, **options: Any) -> None:
        languages = [language for language in LANGUAGES if options["all"] or options[language]]
        if not languages:
            raise CommandError("Choose a language: --python, --typescript, --go, or --all for all of them.")
        if not options["output"].strip():
            raise CommandError("-o names no directory: write '.' for this one")
        try:
            given_config()  # where it is wrong, no handlers have been looked for
            self._generate(languages, options)
        except ConfigurationError as error:
            raise CommandError(f"{error} Correct settings.CENTRIFUGO.") from error
        except GenerationError as error:
            raise CommandError(str(error)) from error

    def _generate(self, languages: list[str], options: dict[str, Any]) -> None:
        methods = self._discover(options["router_path"])
        plan = make_plan(methods, languages, go_module=options["go_module"])
        for warning in plan.warnings:
            self.stderr.write(f"Warning: {warning}")
        if plan.warnings and options["strict_names"]:
            raise CommandError("Method names are not kept as they are (--strict-names).")
        self.stdout.write(f"\nOutput directory: {options['output']}\n")
        if options["check"]:
            self._check(plan, Path(options["output"]))
        else:
            write.update(Path(options["output"]), plan.files())
            self._report(plan, options["output"], verbose=options["verbose"])

    def _discover(self, router_path: str | None) -> list[RPCMethodInfo]:
        self.stdout.write(f"Centrifugo Client Code Generation\n{_RULE}")
        router = load_router(router_path)
        self.stdout.write(f"Using custom router: {router_path}" if router_path else "Using global MessageRouter")
        self.stdout.write("\nDiscovering RPC methods...")
        methods = discover_rpc_methods_from_router(router)
        self.stdout.write(f"Found {len(methods)} RPC methods")
        if not methods:
            raise CommandError(_NO_METHODS)
        for method in methods:
            names = (getattr(model, "__name__", "dict") for model in (method.params_model, method.result_model))
            self.stdout.write(f"  - {method.name}: {' -> '.join(names)}")
        return methods

    def _check(self, plan: Plan, root: Path) -> None:
        difference = write.diff(root, plan.files())
        if difference:
            self.stdout.write(difference)
            raise CommandError("The clients are not what would be generated now. Generate them again.")
        self.stdout.write("The clients are up to date.")

    def _report(self, plan: Plan, output: str, *, verbose: bool) -> None:
        places = {language: f"{output.rstrip('/') or '/'}/{language}" for language in plan.languages}
        for language, files in plan.languages.items():
            self.stdout.write(f"\nGenerating {LANGUAGES[language]} client...")
            if verbose:
                self.stdout.write("\n".join(f"    {path}" for path in files))
            self.stdout.write(f"  ✓ Generated at: {places[language]}")
        titles = ", ".join(LANGUAGES[language] for language in plan.languages)
        self.stdout.write(f"\n{_RULE}\nSuccessfully generated {len(plan.languages)} client(s): {titles}\n\nNext steps:")
        for language, place in places.items():
            self.stdout.write(f"  cd {shlex.quote(place)} && {_NEXT_STEPS[language]}")
