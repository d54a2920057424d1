# The failure queue. Lambda sends the event with the error (operations/lambda.tf), SQS moves the bare event from the
# upload queue. `redrive` sends them to the function again. Encrypted, because an event contains the object's key.

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

# The upload queue, for a stage with ingest = "queue".

locals {
  by_queue = var.ingest == "queue"
}

resource "aws_sqs_queue" "uploads" {
  count = local.by_queue ? 1 : 0

  name                      = "${local.data_processor_name}-uploads"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true

  # AWS recommends six times the function's timeout, which is at most 15 minutes.
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
