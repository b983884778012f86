"""Networks shared by families of targets."""
