# The role in which GitHub Actions deploys one stage. It may do what `deploy` and `destroy` do, and nothing else.
# Of the objects in the stage's buckets, it may access only those of the smoke test. Deployed code could read
# others, so branch protection has to control who changes the code (../../../SECURITY.md).

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
  functions      = [local.api, local.data_processor]
  replay         = "${local.api}-replay"
  # The roles of the functions, the replay and its schedule. No other stage's role can match.
  roles = [for name in [local.api, "${local.data_processor}*"] : "arn:aws:iam::${var.account}:role/${name}"]

  # The token's subject contains the repository. It also contains the ids of owner and repository if the repository
  # was created, renamed or transferred since 2026-07-15, or opted in.
  owner    = split("/", var.repository)[0]
  name     = split("/", var.repository)[1]
  subjects = ["${local.owner}/${local.name}", "${local.owner}@${var.owner_id}/${local.name}@${var.repository_id}"]

  # Terraform appends 26 characters to a bucket's name: a time and a counter. With an asterisk instead, the role of
  # `dev` would match the buckets of `dev-raw`, and objects with "/smoke-test/" anywhere in their keys.
  unique  = join("", [for _ in range(26) : "?"])
  scans   = [for use in ["raw", "processed", "rejected"] : "arn:aws:s3:::ikerian-${var.stage}-${use}-${local.unique}"]
  buckets = concat(local.scans, ["arn:aws:s3:::ikerian-${var.stage}-operations-${local.unique}"])
  here    = "${var.region}:${var.account}"

  # An event source mapping has no name. The condition on its function restricts it to the stage.
  connections       = "arn:aws:lambda:${local.here}:event-source-mapping:*"
  to_data_processor = { ArnEquals = { "lambda:FunctionArn" = "arn:aws:lambda:${local.here}:function:${local.data_processor}" } }

  # When a bucket is deleted, anybody can create one with its name. The role must not use that one.
  in_this_account = { StringEquals = { "aws:ResourceAccount" = var.account } }
}

resource "aws_iam_role" "this" {
  # checkov:skip=CKV_AWS_393:Checkov does not know the repository, which is a variable. Its validation requires owner and name.
  name        = "ikerian-${var.stage}-deployer"
  description = "GitHub Actions of ${var.repository} deploys the stage ${var.stage} in this role."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyJobsOfThisRepositoryAndEnvironmentActInThisRole"
      Effect    = "Allow"
      Principal = { Federated = var.provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = [for subject in local.subjects : "repo:${subject}:environment:${var.stage}"]
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "keeps_the_state" {
  name = "keeps-the-state"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "FindsTheStateBucket"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = var.state_bucket_arn
        Condition = local.in_this_account
      },
      {
        Sid       = "ReadsAndWritesTheStatesOfItsStage"
        Effect    = "Allow"
        Action    = ["s3:GetObject", "s3:PutObject"]
        Resource  = "${var.state_bucket_arn}/${var.stage}/*"
        Condition = local.in_this_account
      },
      {
        Sid       = "GivesUpItsLocksAndForgetsWhatChaliceDeployed"
        Effect    = "Allow"
        Action    = "s3:DeleteObject"
        Resource  = ["${var.state_bucket_arn}/${var.stage}/*.tflock", "${var.state_bucket_arn}/${var.stage}/chalice.json"]
        Condition = local.in_this_account
      },
    ]
  })
}

resource "aws_iam_role_policy" "sees_no_scan" {
  name = "sees-no-scan"
  role = aws_iam_role.this.name

  # A denial overrides any bucket policy, also one that this role has written.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "TouchesNothingElseInS3"
      Effect = "Deny"
      Action = "s3:*"
      NotResource = concat(
        local.buckets,
        [for bucket in local.scans : "${bucket}/smoke-test/*"],
        [var.state_bucket_arn, "${var.state_bucket_arn}/${var.stage}/*"],
      )
    }]
  })
}

resource "aws_iam_role_policy" "deploys_the_foundation" {
  name = "deploys-the-foundation"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without the condition on the account, because a missing bucket has no owner.
        Sid      = "MakesTheBucketsAndSeesWhetherTheyAreThere"
        Effect   = "Allow"
        Action   = ["s3:CreateBucket", "s3:ListBucket"]
        Resource = local.buckets
      },
      {
        Sid    = "SetsTheBucketsUp"
        Effect = "Allow"
        Action = [
          "s3:DeleteBucket",
          "s3:DeleteBucketPolicy",
          "s3:GetAccelerateConfiguration",
          "s3:GetBucketAcl",
          "s3:GetBucketCORS",
          "s3:GetBucketLogging",
          "s3:GetBucketNotification",
          "s3:GetBucketObjectLockConfiguration",
          "s3:GetBucketOwnershipControls",
          "s3:GetBucketPolicy",
          "s3:GetBucketPublicAccessBlock",
          "s3:GetBucketRequestPayment",
          "s3:GetBucketTagging",
          "s3:GetBucketVersioning",
          "s3:GetBucketWebsite",
          "s3:GetEncryptionConfiguration",
          "s3:GetLifecycleConfiguration",
          "s3:GetReplicationConfiguration",
          "s3:ListBucketVersions",
          "s3:PutBucketLogging",
          "s3:PutBucketNotification",
          "s3:PutBucketOwnershipControls",
          "s3:PutBucketPolicy",
          "s3:PutBucketPublicAccessBlock",
          "s3:PutBucketTagging",
          "s3:PutBucketVersioning",
          "s3:PutEncryptionConfiguration",
          "s3:PutLifecycleConfiguration",
        ]
        Resource  = local.buckets
        Condition = local.in_this_account
      },
      {
        # The boundary limits what the new roles may do, and the deployer cannot change the boundary.
        Sid       = "MakesTheRolesWithinTheirBoundary"
        Effect    = "Allow"
        Action    = ["iam:CreateRole", "iam:PutRolePolicy"]
        Resource  = local.roles
        Condition = { StringEquals = { "iam:PermissionsBoundary" = var.boundary_arn } }
      },
      {
        Sid    = "SeesAndRemovesTheRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRole",
          "iam:DeleteRolePolicy",
          "iam:GetRole",
          "iam:GetRolePolicy",
          "iam:ListAttachedRolePolicies",
          "iam:ListInstanceProfilesForRole",
          "iam:ListRolePolicies",
          "iam:TagRole",
        ]
        Resource = local.roles
      },
      {
        Sid    = "MakesTheLogs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogGroup",
          "logs:DeleteLogGroup",
          "logs:ListTagsForResource",
          "logs:PutRetentionPolicy",
          "logs:TagResource",
        ]
        # Some of these actions use the log group's ARN with `:*`.
        Resource = flatten([
          for function in local.functions : [
            for end in ["", ":*"] : "arn:aws:logs:${local.here}:log-group:/aws/lambda/${function}${end}"
          ]
        ])
      },
      {
        # This action has no resource type.
        Sid      = "FindsTheLogs"
        Effect   = "Allow"
        Action   = "logs:DescribeLogGroups"
        Resource = "*"
      },
      {
        Sid    = "MakesTheQueues"
        Effect = "Allow"
        Action = [
          "sqs:CreateQueue",
          "sqs:DeleteQueue",
          "sqs:GetQueueAttributes",
          "sqs:ListQueueTags",
          "sqs:SetQueueAttributes",
          "sqs:TagQueue",
        ]
        Resource = [for use in ["failures", "uploads"] : "arn:aws:sqs:${local.here}:${local.data_processor}-${use}"]
      },
      {
        Sid    = "MakesTheAlarmTopic"
        Effect = "Allow"
        Action = [
          "sns:CreateTopic",
          "sns:DeleteTopic",
          "sns:GetTopicAttributes",
          "sns:ListTagsForResource",
          "sns:SetTopicAttributes",
          "sns:TagResource",
        ]
        Resource = "arn:aws:sns:${local.here}:${local.api}-alarms"
      },
      {
        Sid    = "MakesTheReplay"
        Effect = "Allow"
        Action = [
          "states:CreateStateMachine",
          "states:DeleteStateMachine",
          "states:DescribeStateMachine",
          "states:ListStateMachineVersions",
          "states:ListTagsForResource",
          "states:TagResource",
          "states:UpdateStateMachine",
        ]
        Resource = "arn:aws:states:${local.here}:stateMachine:${local.replay}"
      },
      {
        # This action has no resource type, and changes nothing. Terraform's plan uses it.
        Sid      = "HasTheReplayChecked"
        Effect   = "Allow"
        Action   = "states:ValidateStateMachineDefinition"
        Resource = "*"
      },
      {
        Sid      = "SchedulesTheReplay"
        Effect   = "Allow"
        Action   = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:UpdateSchedule"]
        Resource = "arn:aws:scheduler:${local.here}:schedule/default/${local.replay}"
      },
    ]
  })
}

resource "aws_iam_role_policy" "deploys_the_application" {
  name = "deploys-the-application"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "DeploysTheFunctions"
        Effect = "Allow"
        Action = [
          "lambda:AddPermission",
          "lambda:CreateFunction",
          "lambda:DeleteFunction",
          "lambda:DeleteFunctionConcurrency",
          "lambda:DeleteFunctionEventInvokeConfig",
          "lambda:GetFunction",
          "lambda:GetFunctionConcurrency",
          "lambda:GetFunctionConfiguration",
          "lambda:GetFunctionEventInvokeConfig",
          "lambda:GetPolicy",
          "lambda:ListTags",
          "lambda:PutFunctionConcurrency",
          "lambda:PutFunctionEventInvokeConfig",
          "lambda:RemovePermission",
          "lambda:TagResource",
          "lambda:UpdateFunctionCode",
          "lambda:UpdateFunctionConfiguration",
        ]
        Resource = [for function in local.functions : "arn:aws:lambda:${local.here}:function:${function}"]
      },
      {
        Sid      = "HandsThemTheirRoles"
        Effect   = "Allow"
        Action   = "iam:PassRole"
        Resource = local.roles
        Condition = {
          StringEquals = { "iam:PassedToService" = ["lambda.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com"] }
        }
      },
      {
        # This action has no resource type.
        Sid       = "ConnectsTheUploadQueue"
        Effect    = "Allow"
        Action    = "lambda:CreateEventSourceMapping"
        Resource  = "*"
        Condition = local.to_data_processor
      },
      {
        Sid       = "ChangesAndRemovesTheConnection"
        Effect    = "Allow"
        Action    = ["lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"]
        Resource  = local.connections
        Condition = local.to_data_processor
      },
      {
        Sid      = "LabelsTheConnection"
        Effect   = "Allow"
        Action   = ["lambda:ListTags", "lambda:TagResource"]
        Resource = local.connections
      },
      {
        # The ARN of an API does not contain its name, so this includes other stages' APIs.
        Sid      = "DeploysTheApi"
        Effect   = "Allow"
        Action   = ["apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
        Resource = [for path in ["/restapis", "/restapis/*"] : "arn:aws:apigateway:${var.region}::${path}"]
      },
      {
        Sid    = "SetsTheAlarms"
        Effect = "Allow"
        Action = [
          "cloudwatch:DeleteAlarms",
          "cloudwatch:ListTagsForResource",
          "cloudwatch:PutMetricAlarm",
          "cloudwatch:TagResource",
        ]
        Resource = "arn:aws:cloudwatch:${local.here}:alarm:${local.api}.*"
      },
      {
        # AWS requires this permission for all alarms.
        Sid      = "FindsTheAlarms"
        Effect   = "Allow"
        Action   = "cloudwatch:DescribeAlarms"
        Resource = "arn:aws:cloudwatch:${local.here}:alarm:*"
      },
      {
        Sid      = "DrawsTheDashboard"
        Effect   = "Allow"
        Action   = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
        Resource = "arn:aws:cloudwatch::${var.account}:dashboard/${local.api}"
      },
    ]
  })
}

resource "aws_iam_role_policy" "tries_what_is_deployed" {
  name = "tries-what-is-deployed"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # scans[0] is the raw bucket. s3:DeleteObject creates a delete marker, which the test removes again.
        Sid       = "UploadsAndDeletesScansOfItsOwn"
        Effect    = "Allow"
        Action    = ["s3:DeleteObject", "s3:PutObject"]
        Resource  = "${local.scans[0]}/smoke-test/*"
        Condition = local.in_this_account
      },
      {
        Sid       = "ReadsWhatBecomesOfThemAndRemovesIt"
        Effect    = "Allow"
        Action    = ["s3:DeleteObjectVersion", "s3:GetObject"]
        Resource  = [for bucket in local.scans : "${bucket}/smoke-test/*"]
        Condition = local.in_this_account
      },
      {
        Sid      = "SendsTheProcessorAnEventAgain"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = "arn:aws:lambda:${local.here}:function:${local.data_processor}"
      },
      {
        Sid      = "PostsToTheApi"
        Effect   = "Allow"
        Action   = "execute-api:Invoke"
        Resource = "arn:aws:execute-api:${local.here}:*/api/POST/process"
      },
    ]
  })
}
