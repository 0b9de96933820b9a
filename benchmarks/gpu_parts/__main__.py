"""One part: python -m benchmarks.gpu_parts NAME FILE SECONDS [quick].

After every measurement FILE holds all of them so far, whole; none is begun after SECONDS. An error of one, memory that
is short included, is its result, and the next is tried.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def device() -> dict[str, Any]:
    """What torch computes on."""
    import torch

    about: dict[str, Any] = {"torch": torch.__version__, "float32_products": torch.get_float32_matmul_precision()}
    if not torch.cuda.is_available():
        return about | {"name": "CPU", "threads": torch.get_num_threads()}
    card = torch.cuda.get_device_properties(0)
    about |= {"name": card.name, "memory_gib": round(card.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return about | {"capability": f"{card.major}.{card.minor}"}


def in_a_line(error: Exception) -> str:
    """Of its whole text: transformers names the reason of a failed import in the second line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def main() -> None:
    name, file, seconds, quick = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), "quick" in sys.argv[4:]
    until = time.monotonic() + seconds
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        measurements = importlib.import_module(f"benchmarks.gpu_parts.{name}").measurements(quick)
    except Exception as error:
        traceback.print_exc()
        sys.exit(in_a_line(error))
    found: dict[str, Any] = {"device": device(), "planned": list(measurements), "measured": {}}

    def write() -> None:
        aside = file.with_suffix(".tmp")
        aside.write_text(json.dumps(found))
        os.replace(aside, file)

    write()
    for what, measure in measurements.items():
        begun = time.monotonic()
        if begun > until:
            break
        try:
            result = measure()
        except Exception as error:
            result = {"fault": in_a_line(error)}
        found["measured"][what] = result | {"took": round(time.monotonic() - begun, 1)}
        write()


if __name__ == "__main__":
    main()
