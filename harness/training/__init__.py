"""Training: SFT and DPO on TRL, the objective, and the tiny models made from scratch."""

# Versions that change what is trained; part of the identity of results.
PACKAGES = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate")
