"""Scripts for developers: `python -m scripts.NAME`."""
