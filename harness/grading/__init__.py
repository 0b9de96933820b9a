"""Grading: the think splitter, one ``grade()`` for every family, and the killable workers behind it."""

from harness.grading.version import PACKAGES as PACKAGES
