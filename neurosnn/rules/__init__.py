"""Learning rules: one folder a rule."""
