"""The README's tables are what the commands named there print of the committed results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import here as harness

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("| mini_math |", "| mini_blocks |", "| mini_rules |")


@pytest.mark.parametrize(
    "command",
    [
        ("claims", "results/dose_response.tiny.claims.json"),
        ("claims", "results/ablation_full.laptop.claims.json"),
        ("leaderboard", "results/ablation_full.tiny.json", "--layout", "paper"),
        ("leaderboard", "results/ablation_full.tiny.greedy.json", "--layout", "paper"),
    ],
    ids=lambda command: command[1],
)
def test_every_row_is_printed_by_the_command(command):
    shown = harness(*command, "--format", "md", cwd=ROOT, code=0).stdout
    table = shown[shown.index("| ") :].split("\n\n")[0]
    rows = [row for row in table.splitlines() if not row.startswith(FAMILIES)]
    assert len(rows) > 4
    assert "\n".join(rows) in (ROOT / "README.md").read_text()
