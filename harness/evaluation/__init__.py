"""Evaluation: lm-eval tasks sampled with resume, over-thinking metrics, statistics."""

# Versions that change what is asked; part of the identity of results.
PACKAGES = ("lm-eval",)
