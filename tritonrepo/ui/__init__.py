"""The page of `ui`: a small web server on this machine, which sends requests to the one server that it was given."""
