variable "access_log_bucket" {
  description = "Name of an existing bucket that takes the access logs of the three buckets; null for no access logs. S3 wants it in the same region and account, without Object Lock, Requester Pays and a KMS key as its default, and its policy must let logging.s3.amazonaws.com put objects (S3 user guide: enabling server access logging)."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket must be the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "api_burst_limit" {
  description = "Requests that the API takes at once before it answers 429."
  type        = number
  default     = 20

  validation {
    condition     = var.api_burst_limit >= 1 && floor(var.api_burst_limit) == var.api_burst_limit
    error_message = "api_burst_limit must be a whole number of requests, at least 1."
  }
}

variable "api_rate_limit" {
  description = "Requests a second that the API takes in the long run before it answers 429."
  type        = number
  default     = 10

  validation {
    condition     = var.api_rate_limit > 0
    error_message = "api_rate_limit must be more than 0 requests a second."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets that still hold objects: patients' data, gone for good. Apply it first. Where it is refused, `terraform apply` puts back what went before the buckets' turn."
  type        = bool
  default     = false
}

variable "ingest" {
  description = "How uploads come to data-processor: `direct`, S3 invokes it, or `queue`, they wait in a queue of which queue_concurrency at once are worked on. On a stage that is deployed, change it with `deploy` alone, which loses no upload."
  type        = string
  default     = "direct"

  validation {
    condition     = contains(["direct", "queue"], var.ingest)
    error_message = "ingest must be direct or queue."
  }
}

variable "kms_key_arn" {
  description = "ARN of a KMS key to encrypt the three buckets with; null for S3's own keys (SSE-S3). The key's policy must let this account's IAM policies grant its use. A key of another account wants a permissions_boundary_arn that allows it: the boundary that bootstrap/ makes allows those of this account."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, such as arn:aws:kms:eu-central-1:123456789012:key/…; an alias cannot be granted."
  }
}

variable "lambda_architecture" {
  description = "Processor that the functions run on: x86_64, or arm64 (Graviton), whose GB-seconds cost about a fifth less."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_architecture)
    error_message = "lambda_architecture must be arm64 or x86_64."
  }
}

variable "log_retention_days" {
  description = "Days after which the functions' log lines are deleted."
  type        = number
  default     = 14

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days
    )
    error_message = "log_retention_days must be one that CloudWatch Logs offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "noncurrent_version_days" {
  description = "Days that a replaced or deleted version of a raw or processed object can still be brought back."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days >= 1 && floor(var.noncurrent_version_days) == var.noncurrent_version_days
    error_message = "noncurrent_version_days must be a whole number of days, at least 1."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the IAM policy that bounds the functions' roles, where the organisation demands one of its own; null for the one that bootstrap/ has made. GitHub's role deploys with that one only."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, such as arn:aws:iam::123456789012:policy/boundary."
  }
}

variable "processed_object_days" {
  description = "Days until what is published is deleted, as by hand, likewise; null to keep it until somebody deletes it."
  type        = number
  default     = null

  validation {
    condition     = var.processed_object_days == null ? true : var.processed_object_days >= 1 && floor(var.processed_object_days) == var.processed_object_days
    error_message = "processed_object_days must be a whole number of days, at least 1, or null."
  }
}

variable "queue_batch_seconds" {
  description = "Seconds that Lambda waits for a batch of uploads to fill, with ingest = \"queue\"; more than 0 for batches of more than 10."
  type        = number
  default     = 0

  validation {
    condition     = var.queue_batch_seconds >= (var.queue_batch_size > 10 ? 1 : 0) && var.queue_batch_seconds <= 300 && floor(var.queue_batch_seconds) == var.queue_batch_seconds
    error_message = "queue_batch_seconds must be a whole number of seconds from 0 to 300, and at least 1 where queue_batch_size is more than 10."
  }
}

variable "queue_batch_size" {
  description = "Uploads in one invocation at most, with ingest = \"queue\". More than 1 for small objects only: all of a batch share one invocation's time."
  type        = number
  default     = 1

  validation {
    condition     = var.queue_batch_size >= 1 && var.queue_batch_size <= 1000 && floor(var.queue_batch_size) == var.queue_batch_size
    error_message = "queue_batch_size must be a whole number of uploads from 1 to 1000."
  }
}

variable "queue_concurrency" {
  description = "Invocations at once at most, with ingest = \"queue\"; the rest wait in the queue, for up to 14 days."
  type        = number
  default     = 100

  validation {
    condition     = var.queue_concurrency >= 2 && var.queue_concurrency <= 1000 && floor(var.queue_concurrency) == var.queue_concurrency
    error_message = "queue_concurrency must be a whole number of invocations from 2 to 1000."
  }

  validation {
    # What Lambda throttles counts as received, and five times is for good.
    condition     = var.ingest == "direct" || var.queue_concurrency <= coalesce(var.reserved_concurrency, 1000)
    error_message = "queue_concurrency must not exceed reserved_concurrency, or uploads would fail that nobody has looked at."
  }
}

variable "raw_object_days" {
  description = "Days until an upload is deleted, as by hand: it can be brought back for noncurrent_version_days more. null to keep it until somebody deletes it."
  type        = number
  default     = null

  validation {
    condition     = var.raw_object_days == null ? true : var.raw_object_days >= 1 && floor(var.raw_object_days) == var.raw_object_days
    error_message = "raw_object_days must be a whole number of days, at least 1, or null."
  }
}

variable "reconcile_schedule" {
  description = "When all uploads are looked at again, and those published that no event has: rate(1 day), or cron(0 3 * * ? *) of EventBridge Scheduler, in UTC. null for never. Each look costs two requests an upload."
  type        = string
  default     = null

  validation {
    condition     = var.reconcile_schedule == null || can(regex("^(rate\\([1-9][0-9]* (minutes?|hours?|days?)\\)|cron\\(([^ )]+ ){5}[^ )]+\\))$", var.reconcile_schedule))
    error_message = "reconcile_schedule must be rate(number unit) or cron(six fields), such as rate(1 day); or null."
  }
}

variable "region" {
  description = "AWS region of the stage."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as eu-central-1."
  }
}

variable "rejected_object_days" {
  description = "Days that rejected records are kept; long enough to look at them and upload them again, mended."
  type        = number
  default     = 30

  validation {
    condition     = var.rejected_object_days >= 1 && floor(var.rejected_object_days) == var.rejected_object_days
    error_message = "rejected_object_days must be a whole number of days, at least 1."
  }

  validation {
    condition     = var.rejected_object_days <= var.noncurrent_version_days
    error_message = "rejected_object_days must not exceed noncurrent_version_days: what was rejected is not worth keeping longer than the upload it came from."
  }
}

variable "rejected_records_threshold" {
  description = "Records that may be rejected in five minutes before the alarm rings."
  type        = number
  default     = 100

  validation {
    condition     = var.rejected_records_threshold >= 0 && floor(var.rejected_records_threshold) == var.rejected_records_threshold
    error_message = "rejected_records_threshold must be a whole number of records; 0 rings at the first."
  }
}

variable "reserved_concurrency" {
  description = "Uploads that are worked on at once, so that many of them leave the API its share of the account's concurrency; the rest wait, at most six hours, and then go to the failure queue. null for no limit but the account's, of which AWS wants 100 left unreserved."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null ? true : var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "reserved_concurrency must be a whole number of uploads, at least 1, or null."
  }
}

variable "stage" {
  description = "Name of the stage, as in .chalice/config.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.stage))
    error_message = "stage must be 2 to 16 lower-case letters, digits and hyphens, with a letter first and no hyphen last."
  }

  validation {
    # The role ikerian-<stage>-deployer could be the role of a function of another stage.
    condition     = !startswith(var.stage, "data-pipeline")
    error_message = "stage must not begin with data-pipeline, as the names of all stages' functions do."
  }
}

variable "vpc_cidr" {
  description = "Address range of a private network to run the functions in, such as 10.20.0.0/24; null to run them outside any VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_cidr == null || can(regex("/(1[6-9]|2[0-7])$", cidrsubnet(var.vpc_cidr, 0, 0)))
    error_message = "vpc_cidr must be an IPv4 range from /16 to /27, such as 10.20.0.0/24."
  }
}
