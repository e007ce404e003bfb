"""Random models and networks, and what every route makes of them (tools/fuzz_models.py runs thousands)."""
