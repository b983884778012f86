"""The defenses under test: one file each, hooks on the shared training loop."""
