"""Models: the Completer protocol and its backends, and how a prompt becomes token ids."""
