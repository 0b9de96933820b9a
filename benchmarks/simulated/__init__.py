"""A simulated world of two models behind servers, for benchmarks of the search: no weights, the same for every engine."""
