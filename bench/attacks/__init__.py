"""The attacks: one file each; larger score = more likely a member."""
