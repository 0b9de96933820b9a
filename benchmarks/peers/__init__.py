"""The sides of benchmarks/eval_peers.py, each in a process of its own."""
