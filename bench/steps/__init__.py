"""The steps of the graph: pure functions of a configuration and upstream artifacts."""
