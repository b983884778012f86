"""The matrix file: what is crossed with what, strictly parsed."""
