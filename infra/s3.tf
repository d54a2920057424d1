# The raw bucket's notification is Chalice's alone, or the upload queue's alone: S3 takes but one destination for an
# event, and what Terraform sets replaces what was there, at once.

resource "aws_s3_bucket_notification" "uploads" {
  count = local.by_queue ? 1 : 0

  bucket = module.raw_bucket.name

  queue {
    queue_arn     = aws_sqs_queue.uploads[0].arn
    filter_suffix = ".json"

    # S3_EVENT_TYPES in chalicelib/events.py. A test compares the two.
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", "s3:ObjectRestore:Completed"]
  }

  # S3 tries the queue at once.
  depends_on = [aws_sqs_queue_policy.uploads]
}

module "raw_bucket" {
  source = "./modules/bucket"

  name_prefix             = "ikerian-${var.stage}-raw-"
  access_log_bucket       = var.access_log_bucket
  force_destroy           = var.force_destroy
  kms_key_arn             = var.kms_key_arn
  noncurrent_version_days = var.noncurrent_version_days
  object_days             = var.raw_object_days
}

module "processed_bucket" {
  source = "./modules/bucket"

  name_prefix             = "ikerian-${var.stage}-processed-"
  access_log_bucket       = var.access_log_bucket
  force_destroy           = var.force_destroy
  kms_key_arn             = var.kms_key_arn
  noncurrent_version_days = var.noncurrent_version_days
  object_days             = var.processed_object_days
}

module "rejected_bucket" {
  source = "./modules/bucket"

  name_prefix       = "ikerian-${var.stage}-rejected-"
  access_log_bucket = var.access_log_bucket
  force_destroy     = var.force_destroy
  kms_key_arn       = var.kms_key_arn
  object_days       = var.rejected_object_days

  # What expired is gone for good a day later.
  noncurrent_version_days = 1
}

# Manifests and results of replays. They hold keys, which can name patients: as private as the uploads.
module "operations_bucket" {
  source = "./modules/bucket"

  name_prefix       = "ikerian-${var.stage}-operations-"
  access_log_bucket = var.access_log_bucket
  force_destroy     = var.force_destroy
  kms_key_arn       = var.kms_key_arn
  object_days       = 30

  # Likewise.
  noncurrent_version_days = 1
}
