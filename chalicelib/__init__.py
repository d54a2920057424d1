"""Everything that runs in Lambda: the extraction, the access to S3, and the log events."""
