"""Proof that nothing is left behind: what was said while recording was off is nowhere."""
