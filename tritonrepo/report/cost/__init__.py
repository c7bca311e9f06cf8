"""What serving costs, as text, Markdown, JSON and a page with plots."""
