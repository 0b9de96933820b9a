"""A gate's verdict for machines: JUnit XML and GitHub workflow annotations."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.results.gate import Verdict
from harness.view.compare import sentence
from harness.view.text import clean


def junit(verdict: Verdict, run: str) -> str:
    """A JUnit report: a regression is a failure, an inconclusive test an error (a tool must not read it as a pass)."""
    bad = sum(check.outcome == "regression" for check in verdict.checks)
    undecided = sum(check.outcome == "inconclusive" for check in verdict.checks)
    suite = ElementTree.Element(
        "testsuite", name=clean(f"harness gate {run}"), tests=str(len(verdict.checks)), failures=str(bad),
        errors=str(undecided),
    )  # fmt: skip
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=clean(check.task), name=check.metric)
        if check.outcome != "pass":
            tag = "failure" if check.outcome == "regression" else "error"
            ElementTree.SubElement(case, tag, message=clean(sentence(check)), type=check.outcome)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github(verdict: Verdict) -> list[str]:
    """GitHub workflow commands, one for each test that did not pass."""
    level = {"regression": "error", "inconclusive": "warning"}
    return [
        f"::{level[check.outcome]} title={_property(f'harness gate {check.task}')}::{_message(sentence(check))}"
        for check in verdict.checks
        if check.outcome != "pass"
    ]


def _message(text: str) -> str:
    return clean(text).replace("%", "%25")  # line breaks are spaces already


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
