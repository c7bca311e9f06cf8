"""A load on a served model, what was measured, and whether the figures can be true."""
