"""The local cloud, and the stage in it."""
