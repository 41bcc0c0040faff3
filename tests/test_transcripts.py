"""The transcripts of the real engine, replayed against `runcentrifugo --external-worker`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "tests/vectors/centrifugo"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))
LONGEST_SECONDS = 240


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What differs, by transcript; all of them are replayed at once, which takes about ten seconds."""
    project = tmp_path_factory.mktemp("project")
    command = [sys.executable, str(VECTORS / "replay.py"), "--manage", str(project), "--python", sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    passed = re.search(r"^(\d+)/(\d+)$", run.stdout, re.MULTILINE)
    assert passed, run.stdout + run.stderr
    assert int(passed[2]) == len(NAMES)
    found = dict(re.findall(r"^FAIL ([\w-]+): (.*)$", run.stdout, re.MULTILINE))
    assert int(passed[1]) + len(found) == len(NAMES), run.stdout
    return found


def test_there_are_transcripts() -> None:
    assert len(NAMES) >= 97


@pytest.mark.parametrize("name", NAMES)
def test_transcript(name: str, failures: dict[str, str]) -> None:
    assert name not in failures, failures[name]
