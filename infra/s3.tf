# S3 allows one destination for an event, so the notification of the raw bucket belongs either to Chalice or to
# this resource. It replaces Chalice's atomically.

resource "aws_s3_bucket_notification" "uploads" {
  count = local.by_queue ? 1 : 0

  bucket = module.raw_bucket.name

  queue {
    queue_arn     = aws_sqs_queue.uploads[0].arn
    filter_suffix = ".json"

    # The same list as S3_EVENT_TYPES in chalicelib/events.py; a test compares the two.
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", "s3:ObjectRestore:Completed"]
  }

  # S3 sends a test message when the notification is created.
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

  # Expired objects are deleted permanently a day later.
  noncurrent_version_days = 1
}

# Manifests and results of replays. They contain keys, which may name patients, so they are as private as uploads.
module "operations_bucket" {
  source = "./modules/bucket"

  name_prefix       = "ikerian-${var.stage}-operations-"
  access_log_bucket = var.access_log_bucket
  force_destroy     = var.force_destroy
  kms_key_arn       = var.kms_key_arn
  object_days       = 30

  # As above.
  noncurrent_version_days = 1
}
