"""Evaluation-centred bench for widening the distillation bottleneck of reasoning models (arXiv 2503.01461)."""

__version__ = "0.1.0"
