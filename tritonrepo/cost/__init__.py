"""What serving costs, from prices and figures that somebody states, with a source for each."""
