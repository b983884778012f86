"""Reads boards that were written: plain files only, nothing that comes from them is executed or unpickled."""
