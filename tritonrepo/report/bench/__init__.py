"""What `bench` measured, as a table, as a page, as JSON, and in the forms of other tools."""
