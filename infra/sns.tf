# Where the alarms of operations/ ring. Who wants to hear them subscribes.

data "aws_caller_identity" "current" {}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:An alarm says a metric's name and value and no more. CloudWatch cannot publish under AWS's own key.
  name = "${local.api_name}-alarms"
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyAlarmsOfThisStageRingHere"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = {
        ArnLike      = { "aws:SourceArn" = "arn:*:cloudwatch:${var.region}:${data.aws_caller_identity.current.account_id}:alarm:${local.api_name}.*" }
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
      }
    }]
  })
}
