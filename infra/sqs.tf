# Uploads that failed for good: the event and the error, sent by Lambda (operations/lambda.tf), until
# somebody puts them back. Encrypted, because an event holds the object's key.

resource "aws_sqs_queue" "failures" {
  name                      = "${local.data_processor_name}-failures"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "failures" {
  queue_url = aws_sqs_queue.failures.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NothingPassesUnencrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = aws_sqs_queue.failures.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
