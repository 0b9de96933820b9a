"""Search: thought grammars, the pure ask/tell tree, and the driver that keeps many problems in flight."""
