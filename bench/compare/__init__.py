"""Compares two boards of one matrix: the regression test of a defense."""
