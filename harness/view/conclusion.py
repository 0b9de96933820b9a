"""What a recipe's run ends in, page by page: its boards, doses, learning curves, and verdicts on its claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.results import board as boards
from harness.results.claims import findings as tested
from harness.results.collapses import collapses
from harness.results.curves import curves
from harness.results.doses import responses
from harness.results.records import Claim, RunRecord
from harness.results.store import Store
from harness.view import board, claims, doses
from harness.view import curves as learning
from harness.view.page import Page


def pages(record: RunRecord, store: Store, claimed: Mapping[str, Claim]) -> Iterator[Page]:
    """Pages of a recorded run, each as soon as it is known. Raises NoRuns where samples are gone."""
    samples, beside = boards.all_samples(record, store)
    for decoding, arms in samples.items():
        yield board.page(boards.of_samples(record, decoding, arms, beside.get(decoding)))
    if dosed := responses(record.control, samples):
        yield doses.page(record.title, dosed)
    if learned := curves(record, store):
        yield learning.page(record.title, learned)
    if findings := tested(claimed, samples):
        yield claims.page(record.title, claimed, findings, collapses(samples))
