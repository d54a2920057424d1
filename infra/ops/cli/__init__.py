"""The command line: one function a command, its options, and what it tells in the end."""
