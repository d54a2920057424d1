# The permissions boundary of a stage's roles. A role may do only what both its own policies and the boundary
# allow. So a deployer may write the policies, but cannot grant more than the boundary does.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

locals {
  # The names that ../../main.tf, ../../s3.tf and Chalice use.
  api            = "ikerian-data-pipeline-${var.stage}"
  data_processor = "${local.api}-data-processor"
  replay         = "${local.api}-replay"

  # Terraform appends 26 characters to a bucket's name. An asterisk instead would match objects, too.
  unique  = join("", [for _ in range(26) : "?"])
  buckets = [for use in ["raw", "processed", "rejected", "operations"] : "arn:aws:s3:::ikerian-${var.stage}-${use}-${local.unique}"]
  here    = "${var.region}:${var.account}"
}

resource "aws_iam_policy" "this" {
  # checkov:skip=CKV_AWS_290:EC2 requires Lambda's calls to be allowed on every network interface.
  # checkov:skip=CKV_AWS_355:As above.
  name        = "ikerian-${var.stage}-boundary"
  description = "The most that the functions of the stage ${var.stage} may do."

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ReadsAndWritesTheObjectsOfItsStage"
        Effect    = "Allow"
        Action    = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
        Resource  = [for bucket in local.buckets : "${bucket}/*"]
        Condition = { StringEquals = { "aws:ResourceAccount" = var.account } }
      },
      {
        Sid       = "SeesWhetherAnObjectExists"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.buckets
        Condition = { StringEquals = { "aws:ResourceAccount" = var.account } }
      },
      {
        Sid      = "UsesKeysOfItsAccountThroughS3"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = "arn:aws:kms:${local.here}:key/*"
        Condition = {
          StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" }
        }
      },
      {
        Sid      = "WritesItsLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [for name in [local.api, local.data_processor] : "arn:aws:logs:${local.here}:log-group:/aws/lambda/${name}:*"]
      },
      {
        Sid      = "SendsFailuresToTheirQueue"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = "arn:aws:sqs:${local.here}:${local.data_processor}-failures"
      },
      {
        Sid      = "HandsBatchesToTheFunction"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = "arn:aws:lambda:${local.here}:function:${local.data_processor}"
      },
      {
        Sid    = "ReplaysUploads"
        Effect = "Allow"
        Action = ["states:DescribeExecution", "states:RedriveExecution", "states:StartExecution", "states:StopExecution"]
        Resource = [
          "arn:aws:states:${local.here}:stateMachine:${local.replay}",
          "arn:aws:states:${local.here}:execution:${local.replay}:*",
          "arn:aws:states:${local.here}:execution:${local.replay}/*:*",
        ]
      },
      {
        Sid      = "ReceivesUploadsFromTheirQueue"
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        Resource = "arn:aws:sqs:${local.here}:${local.data_processor}-uploads"
      },
      {
        Sid    = "LambdaConnectsItsFunctions"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = "*"
      },
    ]
  })
}
