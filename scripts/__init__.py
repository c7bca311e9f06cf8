"""Scripts of the developers: `python -m scripts.NAME`."""
