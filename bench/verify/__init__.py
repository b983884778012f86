"""Recomputes what a board says from the scores that it publishes."""
