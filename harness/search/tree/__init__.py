"""The tree of one problem: a pure function of what it asked and what was answered."""
