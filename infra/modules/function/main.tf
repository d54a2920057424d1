# Role and log group of a function, created before it. The role may write to this log group and do nothing else.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log. The log names no patient, so a KMS key would protect nothing.
  # checkov:skip=CKV_AWS_338:The log is for troubleshooting, not for audits. A longer retention would only be more to protect.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Execution role of the function ${var.name}."
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LambdaActsInThisRole"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "writes_its_log" {
  name = "writes-its-log"
  role = aws_iam_role.this.name

  # Without logs:CreateLogGroup: a group that Lambda creates has no retention.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WritesItsOwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.this.arn}:*"
    }]
  })
}

resource "aws_iam_role_policy" "enters_the_vpc" {
  # checkov:skip=CKV_AWS_290:EC2 requires Lambda's calls to be allowed on every network interface. The second statement denies them to the function's code.
  # checkov:skip=CKV_AWS_355:As above.
  count = var.in_vpc ? 1 : 0

  name = "enters-the-vpc"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LambdaConnectsTheFunction"
        Effect   = "Allow"
        Action   = local.network_interface_actions
        Resource = "*"
      },
      {
        # Only calls from the function's code have this condition key.
        Sid       = "TheCodeItselfConnectsNothing"
        Effect    = "Deny"
        Action    = local.network_interface_actions
        Resource  = "*"
        Condition = { Null = { "lambda:SourceFunctionArn" = "false" } }
      },
    ]
  })
}

locals {
  network_interface_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
}
