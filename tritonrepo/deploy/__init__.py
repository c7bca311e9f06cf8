"""Files that run a repository on a server of one's own, from what is known of its models and its target. Pure."""
