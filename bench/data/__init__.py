"""Data sets: one loader per file, and the split of their records."""
