"""A simulated world of two models behind servers, the same for every engine: no weights, no waiting."""
