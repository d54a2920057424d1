"""The local cloud, and the stage `local`."""
