"""The operator's command line: see `python -m infra.ops --help`."""
