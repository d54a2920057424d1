"""The operator's command line: `python -m infra.ops --help`."""
