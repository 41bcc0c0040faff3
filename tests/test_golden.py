"""What is generated is what was reviewed (`make golden` rewrites it), and what cannot be generated says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_cfg.apps.centrifugo.codegen.generators import LANGUAGES, make_plan
from django_cfg.errors import GenerationError
from tests.golden_update import CASES, committed_files, expected_files, load

FAILURES = Path(__file__).parent / "failures"


@pytest.mark.parametrize("case", CASES)
def test_the_output_is_the_committed_one(case: str) -> None:
    assert committed_files(case) == expected_files(case)


@pytest.mark.parametrize("case", sorted(path.name for path in FAILURES.iterdir()))
def test_the_failure_is_the_committed_one(case: str) -> None:
    router = load(FAILURES / case / "handlers.py")

    with pytest.raises(GenerationError) as raised:
        make_plan(router.methods(), LANGUAGES)

    message = str(raised.value).replace(f"{FAILURES.as_posix()}/", "")
    assert f"{message}\n" == (FAILURES / case / "stderr.txt").read_text()
