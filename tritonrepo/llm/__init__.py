"""Language models: what their config.json says, and how much memory of a GPU an engine needs for them."""
