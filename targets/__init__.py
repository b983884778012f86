"""The generative models under test: one file each, on the shared training loop of ``targets.training``."""
