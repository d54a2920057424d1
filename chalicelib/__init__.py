"""Everything that runs in Lambda: the extraction, the S3 edge around it, and what they say."""
