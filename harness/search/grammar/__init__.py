"""Grammars of thoughts: schema, defects, loading."""
