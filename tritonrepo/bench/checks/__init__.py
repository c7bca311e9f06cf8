"""What can be checked in a table of figures: each check has both sides with their arithmetic."""
