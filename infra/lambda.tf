# What the two functions stand on; the functions themselves are Chalice's.

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
  # Anybody can take the name of a bucket that was deleted; nothing is read from theirs, or written there.
  in_this_account = { StringEquals = { "aws:ResourceAccount" = data.aws_caller_identity.current.account_id } }
}

resource "aws_iam_role_policy" "publishes_uploads" {
  name = "publishes-uploads"
  role = module.data_processor.role_name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it S3 answers 403 for an object that is absent.
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
        # To replace an object on condition (If-Match) takes the right to read it.
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
        # Lambda does it in the function's name, when the last attempt has failed.
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

  # Lambda does it in the function's name.
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

  # For these buckets' objects and through S3 only. S3 names the bucket in the encryption context, or
  # the object where the uploader has switched the bucket key off.
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
        # An upload in parts decrypts its own data key for every part.
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
