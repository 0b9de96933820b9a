"""Loaders of the published benchmarks: from ``--data-dir`` (checked by sha256) or from the hub by their usual names."""
