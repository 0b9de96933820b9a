"""Training: SFT and DPO on TRL, the objective, and the tiny models made from scratch."""
