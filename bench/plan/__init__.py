"""From a matrix to a graph of steps, and what running it would take; nothing is computed, torch is not imported."""
