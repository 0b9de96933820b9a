"""Grading: the think splitter, one ``grade()`` for every family, and the killable workers behind it."""

# Libraries whose versions change verdicts: antlr and langdetect, too (docs/graders.md).
PACKAGES = (
    "math-verify", "latex2sympy2_extended", "sympy", "antlr4-python3-runtime", "lm-eval", "langdetect", "nltk",
    "unified-planning",
)  # fmt: skip
