"""Every fenced block of the users' documents 1 to 5 runs in a test, or is listed there as an illustration.

`documents/corrections.py` holds the few places where a block cannot run as written.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests import test_document_commands
from tests.documents import (
    test_architecture,
    test_backend_guide,
    test_client_generation,
    test_django_rpc,
    test_types_and_names,
)
from tests.documents.accounting import BLOCKS, RUN
from tests.documents.corrections import CORRECTIONS, ILLUSTRATIONS
from tests.documents.markdown import links

ROOT = Path(__file__).parents[1]
_TESTS = {
    name
    for module in (
        test_architecture,
        test_backend_guide,
        test_client_generation,
        test_django_rpc,
        test_document_commands,
        test_types_and_names,
    )
    for name in vars(module)
}


def test_every_block_is_run_or_an_illustration() -> None:
    run = {name for names in RUN.values() for name in names}
    assert set(RUN) <= _TESTS
    assert run | set(ILLUSTRATIONS) == set(BLOCKS)
    assert not run & set(ILLUSTRATIONS)
    assert {correction.block for correction in CORRECTIONS} <= set(BLOCKS) - set(ILLUSTRATIONS)
    assert all(BLOCKS[name].language == "" for name in ILLUSTRATIONS), "code is no illustration"


def test_links_lead_to_pages_of_the_documentation() -> None:
    """The pages that the documents link to, by the names that they use."""
    wanted = {"setup.md", "client-generation.md", "frontend-guide.md", "api-reference.md"}
    pages = {path.name for path in (ROOT / "docs").rglob("*.md")}
    assert wanted <= pages


def test_links_of_document_4_are_told_where_their_pages_are() -> None:
    readme = ROOT / "django_cfg" / "modules" / "django_rpc" / "README.md"
    wanted = {link.removeprefix("/") for link in links(ROOT / "tests" / "documents" / "4-django-rpc.md")}
    assert len(wanted) == 3
    told = dict(re.findall(r"^\| `(@docs/\S+)` \| \[.*\]\((\S+)\) \|$", readme.read_text("utf-8"), re.MULTILINE))
    assert told.keys() == wanted
    assert all((readme.parent / link).exists() for link in links(readme) if "://" not in link)
