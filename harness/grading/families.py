"""Which grader serves which family of problems."""

from __future__ import annotations

from harness.errors import NoGrader, nearest

KINDS = ("number", "math", "plan", "instructions")
FAMILIES = {
    "mini_math": "number",
    "mini_blocks": "plan",
    "mini_rules": "instructions",
    "gsm8k": "number",
    "aime": "number",
    "letter_count": "number",
    "math500": "math",
    "blocksworld": "plan",
    "mystery_blocksworld": "plan",
    "ifeval": "instructions",
    "multi_if": "instructions",
} | {kind: kind for kind in KINDS}


def kind_of(family: str) -> str:
    """The grader of a family (a grader's own name is one, too). Raises NoGrader."""
    if family not in FAMILIES:
        raise NoGrader(
            f"no grader for family {family!r}{nearest(family, FAMILIES)}; known: {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[family]
