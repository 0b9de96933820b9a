"""Chains: finished trees become chains with length ranks, SFT rows and preference pairs. All of it pure."""
