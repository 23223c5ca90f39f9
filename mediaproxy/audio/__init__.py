"""Sound as arrays: G.711, tones and a synthetic voice. Pure and deterministic."""
