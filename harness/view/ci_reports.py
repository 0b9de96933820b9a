"""A gate's verdict for machines: JUnit XML and GitHub workflow annotations."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.results.gate import Check, Verdict


def sentence(check: Check) -> str:
    """One line: what changed, its bound, the margin, and what would settle it."""
    # A check counts losses as negative; people expect more missing answers and more tokens to be a plus.
    sign = 100 if check.metric == "accuracy" else -100
    name, unit = check.metric.replace("_", "-"), "%" if check.metric == "tokens" else "points"
    worst = f"at worst {sign * check.low + 0.0:+.1f}, margin {100 * check.margin:g}, n = {check.n}"
    text = f"{name} {sign * check.change + 0.0:+.1f} {unit} ({worst})"
    if check.outcome == "inconclusive":
        more = (
            "no number of items: the loss is past the margin" if check.needed is None else f"about {check.needed} items"
        )
        text += f"; to settle: {more}"
    return text


def junit(verdict: Verdict, run: str) -> str:
    """A JUnit report: a regression is a failure, an inconclusive test an error (a tool must not read it as a pass)."""
    bad = sum(check.outcome == "regression" for check in verdict.checks)
    open_ = sum(check.outcome == "inconclusive" for check in verdict.checks)
    suite = ElementTree.Element(
        "testsuite", name=f"harness gate {run}", tests=str(len(verdict.checks)), failures=str(bad), errors=str(open_)
    )
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.task, name=check.metric)
        if check.outcome != "pass":
            tag = "failure" if check.outcome == "regression" else "error"
            ElementTree.SubElement(case, tag, message=sentence(check), type=check.outcome)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github(verdict: Verdict) -> list[str]:
    """GitHub workflow commands, one for each test that did not pass."""
    level = {"regression": "error", "inconclusive": "warning"}
    return [
        f"::{level[check.outcome]} title=harness gate {check.task}::{_escaped(sentence(check))}"
        for check in verdict.checks
        if check.outcome != "pass"
    ]


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
