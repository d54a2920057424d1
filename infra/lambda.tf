# Roles and log groups of the two functions. Chalice creates the functions themselves.

locals {
  boundary_arn = coalesce(
    var.permissions_boundary_arn,
    "arn:aws:iam::${data.aws_caller_identity.current.account_id}:policy/ikerian-${var.stage}-boundary",
  )
}

module "api" {
  source = "./modules/function"

  name                     = local.api_name
  in_vpc                   = var.vpc_cidr != null
  log_retention_days       = var.log_retention_days
  permissions_boundary_arn = local.boundary_arn
}

module "data_processor" {
  source = "./modules/function"

  name                     = local.data_processor_name
  in_vpc                   = var.vpc_cidr != null
  log_retention_days       = var.log_retention_days
  permissions_boundary_arn = local.boundary_arn
}

locals {
  # When a bucket is deleted, anybody can create one with its name. The functions must not use that one.
  in_this_account = { StringEquals = { "aws:ResourceAccount" = data.aws_caller_identity.current.account_id } }
}

resource "aws_iam_role_policy" "publishes_uploads" {
  name = "publishes-uploads"
  role = module.data_processor.role_name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without this permission, S3 answers 403 for a missing object.
        Sid       = "SeesWhetherAnObjectExists"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = [module.raw_bucket.arn, module.processed_bucket.arn]
        Condition = local.in_this_account
      },
      {
        Sid       = "ReadsUploads"
        Effect    = "Allow"
        Action    = "s3:GetObject"
        Resource  = "${module.raw_bucket.arn}/*"
        Condition = local.in_this_account
      },
      {
        # A conditional write (If-Match) requires s3:GetObject.
        Sid       = "ReplacesWhatIsPublished"
        Effect    = "Allow"
        Action    = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
        Resource  = "${module.processed_bucket.arn}/*"
        Condition = local.in_this_account
      },
      {
        Sid       = "WritesWhatIsRejected"
        Effect    = "Allow"
        Action    = ["s3:AbortMultipartUpload", "s3:PutObject"]
        Resource  = "${module.rejected_bucket.arn}/*"
        Condition = local.in_this_account
      },
      {
        # Lambda sends them in the function's role, after the last attempt.
        Sid      = "SendsFailuresToTheirQueue"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.failures.arn
      },
    ]
  })
}

resource "aws_iam_role_policy" "receives_uploads" {
  count = local.by_queue ? 1 : 0

  name = "receives-uploads"
  role = module.data_processor.role_name

  # Lambda polls the queue in the function's role.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReceivesUploadsFromTheirQueue"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      Resource = aws_sqs_queue.uploads[0].arn
    }]
  })
}

resource "aws_iam_role_policy" "uses_the_key" {
  count = var.kms_key_arn == null ? 0 : 1

  name = "uses-the-key"
  role = module.data_processor.role_name

  # Only through S3, and only for objects of these buckets. The encryption context has the bucket's ARN, or the
  # object's if the uploader has disabled the bucket key.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "DecryptsUploads"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.kms_key_arn
        Condition = {
          StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" }
          StringLike   = { "kms:EncryptionContext:aws:s3:arn" = [module.raw_bucket.arn, "${module.raw_bucket.arn}/*"] }
        }
      },
      {
        # A multipart upload decrypts its data key for every part.
        Sid      = "EncryptsWhatItWrites"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = var.kms_key_arn
        Condition = {
          StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" }
          StringLike = {
            "kms:EncryptionContext:aws:s3:arn" = [
              module.processed_bucket.arn, "${module.processed_bucket.arn}/*",
              module.rejected_bucket.arn, "${module.rejected_bucket.arn}/*",
            ]
          }
        }
      },
    ]
  })
}
