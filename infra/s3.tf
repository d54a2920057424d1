# The raw bucket's notification is Chalice's alone. An aws_s3_bucket_notification here would replace it.

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
