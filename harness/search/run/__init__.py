"""Running many trees over two models."""
