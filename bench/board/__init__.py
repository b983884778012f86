"""From results to tables, pictures and a page."""
