"""Everything that calls AWS: what a stage stores, what it is set to, and what it answers."""
