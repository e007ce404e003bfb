"""The command ``neurosnn``."""
