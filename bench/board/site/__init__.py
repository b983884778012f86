"""Boards as static pages: one folder that opens from the disk and from any web server, and asks nobody."""
