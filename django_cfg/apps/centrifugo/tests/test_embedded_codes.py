"""The reference page of codes says the truth about the code table and the transcripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_cfg.apps.centrifugo.embedded import codes
from django_cfg.apps.centrifugo.embedded.codes import Disconnect, ErrorReply, Unsubscribe

ROOT = Path(__file__).parents[4]
ROWS = {
    cells[0]: cells
    for line in (ROOT / "docs/reference/centrifugo-codes.md").read_text().splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split("|")]) and re.fullmatch(r"\d+(-\d+)?", cells[0])
}
TABLE = {value for value in vars(codes).values() if isinstance(value, ErrorReply | Disconnect | Unsubscribe)}
KNOWN = [*range(100, 114), 2000, 2500, 2501, 2502, 3000, 3001, 3004, 3005, 3006, *range(3008, 3015), *range(3500, 3510)]


def test_the_page_lists_every_code_of_centrifugo() -> None:
    assert {str(code) for code in KNOWN} <= set(ROWS)


@pytest.mark.parametrize("entry", sorted(TABLE, key=repr), ids=repr)
def test_every_code_of_the_table_is_on_the_page(entry: ErrorReply | Disconnect | Unsubscribe) -> None:
    row = ROWS[str(entry.code)]
    assert not row[2].startswith("out:")
    text = entry.message if isinstance(entry, ErrorReply) else entry.reason
    assert text in (row[1], "") or f'"{text}"' in row[2]


@pytest.mark.parametrize("code", sorted(ROWS))
def test_every_row_is_tested_or_out(code: str) -> None:
    implemented, tested_by = ROWS[code][2], ROWS[code][3]
    named = re.findall(r"`([^`]+)`", tested_by)
    if implemented.startswith("out:") or code == "3011":
        assert named == []
        return
    lowest, _, highest = code.partition("-")
    wanted = range(int(lowest), int(highest or lowest) + 1)
    assert named
    for name in named:
        assert set(wanted) & (codes_in_unit_test(name) if name.endswith(".py") else codes_in_transcript(name)), name


def codes_in_transcript(name: str) -> set[int]:
    text = (ROOT / f"tests/vectors/centrifugo/{name}.json").read_text()
    return {int(number) for number in re.findall(r'"code": (\d+)', text)}


def codes_in_unit_test(name: str) -> set[int]:
    text = (Path(__file__).parent / name).read_text()
    numbers = {int(number) for number in re.findall(r"\b\d{3,4}\b", text)}
    return numbers | {getattr(codes, constant).code for constant in re.findall(r"codes\.([A-Z_]+)", text)}
