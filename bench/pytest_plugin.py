"""pytest plugin: puts the regression test of a defense into the defense's own test suite."""

from __future__ import annotations
