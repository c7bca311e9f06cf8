"""What watches servers: alerts with their tests, dashboards, scrape configs, and flags for tracing."""
