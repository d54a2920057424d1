"""Output for the operator: progress, tables, summaries."""
