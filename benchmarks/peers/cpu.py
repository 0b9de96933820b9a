"""Processor seconds of a process and all that it started, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def of_tree(root: int) -> dict[int, float]:
    """User and system seconds of each living process of a tree, children that it waited for included."""
    tick, found = os.sysconf("SC_CLK_TCK"), dict[int, tuple[int, float]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / tick
    out, todo = dict[int, float](), [root]
    while todo:
        pid = todo.pop()
        if pid in found:
            out[pid] = found[pid][1]
            todo += [child for child, (parent, _) in found.items() if parent == pid]
    return out
