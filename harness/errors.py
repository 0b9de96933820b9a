"""Every error that a user may meet: one line that says what is wrong, where, and how to mend it, and an exit code.

Anything else that is raised is a bug: its traceback is shown and the command ends with 70.
"""

import difflib
from collections.abc import Iterable

USAGE, INCOMPLETE, BUG, INTERRUPTED, CLOSED_PIPE = 2, 3, 70, 130, 141


class HarnessError(Exception):
    """Ends a command with one clear line and the exit code ``code``."""

    code = USAGE


# --- 2: something the user gave cannot be used ----------------------------------------------------------------------


class Usage(HarnessError):
    """An option's value cannot be used, or names nothing known; the message says which do."""


class BadFile(HarnessError):
    """A file that was named cannot be opened, read or written."""


class DataError(HarnessError):
    """Problems, rows or chains cannot be used, or are not there; the message names file and line."""


class NoGrader(HarnessError):
    """A family of problems has no grader; the message names those that have."""


class ModelError(HarnessError):
    """A model could not be loaded or called; the message says what, where and how to mend it."""


class SearchMismatch(HarnessError):
    """A folder holds a search with other settings; the message names the difference."""


class RecipeError(DataError):
    """A recipe, profile or grammar cannot be used; the message names file, line, key and the nearest valid name."""


class NoRuns(HarnessError):
    """There is no such run, or nothing to show; the message says how to make it."""


class NotComparable(HarnessError):
    """Two runs differ in what they were asked or in how they were graded."""


# --- 3: work that ended incomplete; what is done is kept ------------------------------------------------------------


class Incomplete(HarnessError):
    """Work ended before its end; everything already produced is kept, and the same command goes on."""

    code = INCOMPLETE


class ServerError(ModelError, Incomplete):
    """A server cannot be reached, refuses, or serves something else; the same command asks again."""

    code = INCOMPLETE


class Refused(ServerError):
    """A request that a server will not serve however often it is asked. ``status``: HTTP's; ``page``: its words."""

    def __init__(self, status: int, page: str) -> None:
        super().__init__(f"HTTP {status}: {page}")
        self.status, self.page = status, page


class NotWritten(Incomplete):
    """A file could not be written for want of space, or the disk failed."""


class JournalBroken(Incomplete):
    """A line of a journal is not a valid row; the message says where and what to do."""


class GraderBroken(Incomplete):
    """Grading processes cannot be started, or die again and again; the message holds what they said."""


class SearchIncomplete(Incomplete):
    """Some problems of a search could not be finished, or it found no chain at all."""


class TrainingError(Incomplete):
    """A training could not be finished, or its result must not be used."""


def first_line(error: BaseException, longest: int = 200) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:longest]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name, as " (did you mean 'x'?)", or an empty string."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
