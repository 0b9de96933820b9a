"""Append-only files: torn lines, locks, whole writes."""

from __future__ import annotations

import pytest

from harness.errors import Incomplete, JournalBroken
from harness.journal import Journal, read, write_rows, write_whole


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.append([{"a": 1}, {"a": 2}])
    path.write_bytes(path.read_bytes() + b'{"a": 3, "b')
    assert [row["a"] for row in read(path)] == [1, 2]
    with Journal(path) as journal:
        journal.append([{"a": 4}])
    assert [row["a"] for row in read(path)] == [1, 2, 4]


@pytest.mark.parametrize("torn", [b"", b"x" * 200_000, b'{"a"'])
def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path, torn):
    path = tmp_path / "j.jsonl"
    path.write_bytes(torn)
    with Journal(path):
        pass
    assert list(read(path)) == []


def test_a_broken_line_inside_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"a": 1}\nnot json\n{"a": 2}\n')
    with pytest.raises(JournalBroken, match=r"j.jsonl:2: not JSON"):
        list(read(path))


def test_one_writer(tmp_path):
    with Journal(tmp_path / "j.jsonl"), pytest.raises(Incomplete, match="another process"):
        Journal(tmp_path / "j.jsonl", wait=0.1)


def test_whole_files_leave_nothing_aside(tmp_path):
    write_whole(tmp_path / "x" / "f.txt", "one")
    write_whole(tmp_path / "x" / "f.txt", "two")
    write_rows(tmp_path / "x" / "r.jsonl", [{"ü": "字"}])
    assert (tmp_path / "x" / "f.txt").read_text() == "two"
    assert list(read(tmp_path / "x" / "r.jsonl")) == [{"ü": "字"}]
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["f.txt", "r.jsonl"]
