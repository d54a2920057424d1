# Tests of the modules: bucket, function and network.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { id = "bucket", arn = "arn:aws:s3:::bucket" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/function" }
  }
  mock_resource "aws_vpc_endpoint" {
    defaults = { prefix_list_id = "pl-s3" }
  }
}

run "a_bucket_is_private_versioned_and_accessible_over_tls_only" {
  command = plan

  module {
    source = "./modules/bucket"
  }
  variables {
    name_prefix             = "bucket-"
    noncurrent_version_days = 30
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
      aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced",
    ])
    error_message = "Public access must be blocked, and ACLs disabled."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "Versioning must be enabled."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0] == {
      Sid       = "NothingPassesUnencrypted"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
    error_message = "Plain HTTP must be denied to everybody, for the bucket and its objects."
  }
  assert {
    condition     = !aws_s3_bucket.this.force_destroy && length(aws_s3_bucket_logging.this) == 0
    error_message = "By default, force_destroy must be off and access logs disabled."
  }
}

run "a_bucket_is_encrypted_by_s3_unless_there_is_a_key" {
  command = plan

  module {
    source = "./modules/bucket"
  }
  variables {
    name_prefix             = "bucket-"
    noncurrent_version_days = 30
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "SSE-S3 must be the default."
  }
}

run "a_bucket_with_a_key_uses_it_through_a_bucket_key" {
  command = plan

  module {
    source = "./modules/bucket"
  }
  variables {
    name_prefix             = "bucket-"
    kms_key_arn             = "arn:aws:kms:eu-central-1:123456789012:key/k"
    noncurrent_version_days = 30
  }

  assert {
    condition = alltrue([
      one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled,
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms",
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn,
    ])
    error_message = "The bucket must use SSE-KMS with the given key and a bucket key."
  }
}

run "a_bucket_expires_unfinished_uploads_and_old_versions" {
  command = plan

  module {
    source = "./modules/bucket"
  }
  variables {
    name_prefix             = "bucket-"
    noncurrent_version_days = 30
    object_days             = 7
  }

  assert {
    condition = jsonencode([
      for rule in aws_s3_bucket_lifecycle_configuration.this.rule : [
        rule.status,
        one(rule.abort_incomplete_multipart_upload[*].days_after_initiation),
        one(rule.noncurrent_version_expiration[*].noncurrent_days),
        one(rule.expiration[*].days),
      ]
    ]) == jsonencode([["Enabled", 1, null, null], ["Enabled", null, 30, null], ["Enabled", null, null, 7]])
    error_message = "Unfinished uploads must expire after a day, versions and objects after the configured days."
  }
}

run "a_bucket_writes_access_logs_to_the_configured_bucket" {
  command = plan

  module {
    source = "./modules/bucket"
  }
  variables {
    name_prefix             = "bucket-"
    access_log_bucket       = "logs"
    noncurrent_version_days = 30
  }

  assert {
    condition     = aws_s3_bucket_logging.this[0].target_bucket == "logs" && aws_s3_bucket_logging.this[0].target_prefix == "bucket/"
    error_message = "Access logs must go to the configured bucket, below this bucket's name."
  }
}

run "a_function_may_write_its_own_log_and_nothing_else" {
  command = plan

  module {
    source = "./modules/function"
  }
  variables {
    name                     = "function"
    in_vpc                   = false
    log_retention_days       = 14
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.writes_its_log.policy).Statement == [{
      Sid      = "WritesItsOwnLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/function:*"
    }]
    error_message = "A function writes its own log and nothing else."
  }
  assert {
    condition     = length(aws_iam_role_policy.enters_the_vpc) == 0
    error_message = "Without a VPC there must be no permissions for network interfaces."
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/function" && aws_cloudwatch_log_group.this.retention_in_days == 14
    error_message = "The log group must have the name that Lambda uses, and the configured retention."
  }
  assert {
    condition = (
      aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" &&
      jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    )
    error_message = "The role must have the configured boundary, and only Lambda may assume it."
  }
}

run "in_a_vpc_lambda_manages_network_interfaces_and_the_code_may_not" {
  command = plan

  module {
    source = "./modules/function"
  }
  variables {
    name                     = "function"
    in_vpc                   = true
    log_retention_days       = 14
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.enters_the_vpc[0].policy).Statement : [s.Effect, length(s.Action)]] == [
      ["Allow", 6], ["Deny", 6]
    ]
    error_message = "The actions that Lambda needs must be denied to the function's code."
  }
}

run "the_network_connects_to_s3_only" {
  command = plan

  module {
    source = "./modules/network"
  }
  variables {
    account     = "123456789012"
    bucket_arns = ["arn:aws:s3:::raw", "arn:aws:s3:::processed"]
    cidr        = "10.20.0.0/24"
    name        = "network"
    region      = "eu-central-1"
  }

  assert {
    condition     = aws_subnet.private[*].cidr_block == ["10.20.0.0/25", "10.20.0.128/25"] && length(distinct(aws_subnet.private[*].availability_zone)) == 2
    error_message = "The subnets must share the range and be in two zones."
  }
  assert {
    condition = jsondecode(aws_vpc_endpoint.s3.policy).Statement[0].Resource == [
      "arn:aws:s3:::raw", "arn:aws:s3:::raw/*", "arn:aws:s3:::processed", "arn:aws:s3:::processed/*",
    ]
    error_message = "The endpoint must allow the pipeline's buckets only."
  }
  assert {
    condition = [
      for rule in aws_security_group.functions.egress : join(" ", [rule.protocol, rule.from_port, rule.to_port, one(rule.prefix_list_ids)])
    ] == ["tcp 443 443 pl-s3"]
    error_message = "The functions may connect over TLS to S3 and nothing else."
  }
}
