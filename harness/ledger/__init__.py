"""Ledger: what was run and how the runs compare."""
