"""Models: the Completer protocol and its backends, and how a prompt becomes token ids."""

# Versions that change what models say; part of the identity of results.
PACKAGES = ("torch", "transformers", "tokenizers")
