# Replays: a state machine that invokes data-processor for many objects, and an optional schedule for it. It refers
# to the function by name, so it can be created before the function.

locals {
  # The names begin with data_processor_name, so no other stage's role can have one of them.
  replay_name       = "${local.api_name}-replay"
  replay_role       = "${local.data_processor_name}-replay"
  schedule_role     = "${local.data_processor_name}-cron"
  here              = "${var.region}:${data.aws_caller_identity.current.account_id}"
  replay_arn        = "arn:aws:states:${local.here}:stateMachine:${local.replay_name}"
  replay_executions = "arn:aws:states:${local.here}:execution:${local.replay_name}"
}

resource "aws_sfn_state_machine" "replay" {
  # checkov:skip=CKV_AWS_284:A trace would show no more than the execution history.
  # checkov:skip=CKV_AWS_285:Its input contains keys, which may name patients and must not be logged.
  name     = local.replay_name
  role_arn = aws_iam_role.replay.arn

  definition = templatefile("${path.module}/replay.asl.json", {
    function_arn      = "arn:aws:lambda:${local.here}:function:${local.data_processor_name}"
    operations_bucket = module.operations_bucket.name
    raw_bucket        = module.raw_bucket.name
  })
}

resource "aws_iam_role" "replay" {
  name                 = local.replay_role
  description          = "Role of the state machine ${local.replay_name}."
  permissions_boundary = local.boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "StepFunctionsActsInThisRole"
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "replays" {
  name = "replays"
  role = aws_iam_role.replay.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ListsUploads"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = module.raw_bucket.arn
        Condition = local.in_this_account
      },
      {
        # It reads manifests, and writes results as multipart uploads.
        Sid    = "ReadsManifestsAndWritesResults"
        Effect = "Allow"
        Action = [
          "s3:AbortMultipartUpload",
          "s3:GetObject",
          "s3:ListMultipartUploadParts",
          "s3:PutObject",
        ]
        Resource  = "${module.operations_bucket.arn}/*"
        Condition = local.in_this_account
      },
      {
        Sid      = "HandsBatchesToTheFunction"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = "arn:aws:lambda:${local.here}:function:${local.data_processor_name}"
      },
      {
        # A Distributed Map runs each batch as an execution of the machine itself.
        Sid      = "StartsABatch"
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = local.replay_arn
      },
      {
        Sid      = "FollowsAndStopsBatches"
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:StopExecution"]
        Resource = "${local.replay_executions}:*"
      },
      {
        Sid      = "RunsFailedBatchesAgain"
        Effect   = "Allow"
        Action   = "states:RedriveExecution"
        Resource = "${local.replay_executions}/*:*"
      },
    ]
  })
}

resource "aws_iam_role_policy" "replay_uses_the_key" {
  count = var.kms_key_arn == null ? 0 : 1

  name = "uses-the-key"
  role = aws_iam_role.replay.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadsAndWritesWhatIsEncrypted"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = var.kms_key_arn
      Condition = {
        StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" }
        StringLike   = { "kms:EncryptionContext:aws:s3:arn" = [module.operations_bucket.arn, "${module.operations_bucket.arn}/*"] }
      }
    }]
  })
}

resource "aws_scheduler_schedule" "replay" {
  # checkov:skip=CKV_AWS_297:Its input is no secret: fixed options and no key.
  count = var.reconcile_schedule == null ? 0 : 1

  name                = local.replay_name
  description         = "Replays all uploads. Publishes those whose event was lost."
  schedule_expression = var.reconcile_schedule

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 15
  }

  target {
    arn      = aws_sfn_state_machine.replay.arn
    role_arn = aws_iam_role.schedule[0].arn
    input = jsonencode({
      created_after   = 0
      created_before  = "9999-12-31T00:00:00+00:00"
      force           = false
      max_concurrency = 10
      prefix          = ""
      scheduled       = true
    })
  }
}

resource "aws_iam_role" "schedule" {
  count = var.reconcile_schedule == null ? 0 : 1

  name                 = local.schedule_role
  description          = "Role in which EventBridge Scheduler starts ${local.replay_name}."
  permissions_boundary = local.boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TheSchedulerActsInThisRole"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "starts_replays" {
  count = var.reconcile_schedule == null ? 0 : 1

  name = "starts-replays"
  role = aws_iam_role.schedule[0].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "StartsTheReplay"
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = local.replay_arn
    }]
  })
}
