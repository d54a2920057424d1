# Uploads that failed for good: the event and the error, sent by Lambda (operations/lambda.tf), or the event alone,
# moved from the upload queue, until somebody puts them back. Encrypted, because an event holds the object's key.

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

# Uploads that wait for data-processor, where a stage's file says so.

locals {
  by_queue = var.ingest == "queue"
}

resource "aws_sqs_queue" "uploads" {
  count = local.by_queue ? 1 : 0

  name                      = "${local.data_processor_name}-uploads"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true

  # AWS's advice: six times what the function may take, of which Lambda allows 15 minutes.
  visibility_timeout_seconds = 6 * 15 * 60

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.failures.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "failures" {
  count = local.by_queue ? 1 : 0

  queue_url = aws_sqs_queue.failures.url

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.uploads[0].arn]
  })
}

resource "aws_sqs_queue_policy" "uploads" {
  count = local.by_queue ? 1 : 0

  queue_url = aws_sqs_queue.uploads[0].url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyTheRawBucketTellsOfUploads"
        Effect    = "Allow"
        Principal = { Service = "s3.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.uploads[0].arn
        Condition = {
          ArnEquals    = { "aws:SourceArn" = module.raw_bucket.arn }
          StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        }
      },
      {
        Sid       = "NothingPassesUnencrypted"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.uploads[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
