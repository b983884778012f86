"""Publishes boards as one site: each is verified, and all that a visitor opens is written by this code."""
