"""What runs say: summaries, statistics, comparisons, claims, and the store of runs."""
