"""Evaluation: lm-eval tasks sampled with resume, over-thinking metrics, statistics."""
