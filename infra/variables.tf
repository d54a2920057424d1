variable "access_log_bucket" {
  description = "Name of an existing bucket for the access logs of the stage's buckets; null for no access logs. S3 requires it to be in the same region and account, without Object Lock, Requester Pays and default KMS encryption. Its policy must allow logging.s3.amazonaws.com to put objects (S3 user guide: enabling server access logging)."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket must be the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "api_burst_limit" {
  description = "Burst limit of the API, in requests. Above it, the API answers 429."
  type        = number
  default     = 20

  validation {
    condition     = var.api_burst_limit >= 1 && floor(var.api_burst_limit) == var.api_burst_limit
    error_message = "api_burst_limit must be a whole number of requests, at least 1."
  }
}

variable "api_rate_limit" {
  description = "Steady rate limit of the API, in requests per second. Above it, the API answers 429."
  type        = number
  default     = 10

  validation {
    condition     = var.api_rate_limit > 0
    error_message = "api_rate_limit must be more than 0 requests per second."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets that contain objects. It deletes patients' data permanently. Set and apply it before the destroy. If S3 refuses to delete a bucket, other resources are gone already; `terraform apply` creates them again."
  type        = bool
  default     = false
}

variable "ingest" {
  description = "How uploads reach data-processor. `direct`: S3 invokes the function. `queue`: uploads wait in a queue, and at most queue_concurrency invocations read from it. On a deployed stage, change it only with `deploy`, which loses no upload."
  type        = string
  default     = "direct"

  validation {
    condition     = contains(["direct", "queue"], var.ingest)
    error_message = "ingest must be direct or queue."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the buckets; null for S3's own keys (SSE-S3). The key's policy must allow this account's IAM policies to grant its use. The boundary of bootstrap/ allows keys of this account only; a key of another account requires another permissions_boundary_arn."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, such as arn:aws:kms:eu-central-1:123456789012:key/…; policies cannot grant the use of an alias."
  }
}

variable "lambda_architecture" {
  description = "Processor architecture of the functions: x86_64, or arm64 (Graviton), which costs about a fifth less per GB-second."
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
    error_message = "log_retention_days must be a retention that CloudWatch Logs supports: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "noncurrent_version_days" {
  description = "Days that S3 keeps a replaced or deleted version of a raw or processed object."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days >= 1 && floor(var.noncurrent_version_days) == var.noncurrent_version_days
    error_message = "noncurrent_version_days must be a whole number of days, at least 1."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the permissions boundary of the functions' roles; null for the one that bootstrap/ made. Set it if your organisation requires its own. GitHub's role can only deploy with the one of bootstrap/."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, such as arn:aws:iam::123456789012:policy/boundary."
  }
}

variable "processed_object_days" {
  description = "Days until a published object expires. S3 keeps it for noncurrent_version_days more. null for no expiry."
  type        = number
  default     = null

  validation {
    condition     = var.processed_object_days == null ? true : var.processed_object_days >= 1 && floor(var.processed_object_days) == var.processed_object_days
    error_message = "processed_object_days must be a whole number of days, at least 1, or null."
  }
}

variable "queue_batch_seconds" {
  description = "Seconds that Lambda waits to fill a batch, with ingest = \"queue\". At least 1 if queue_batch_size is more than 10."
  type        = number
  default     = 0

  validation {
    condition     = var.queue_batch_seconds >= (var.queue_batch_size > 10 ? 1 : 0) && var.queue_batch_seconds <= 300 && floor(var.queue_batch_seconds) == var.queue_batch_seconds
    error_message = "queue_batch_seconds must be a whole number of seconds from 0 to 300, and at least 1 if queue_batch_size is more than 10."
  }
}

variable "queue_batch_size" {
  description = "Maximum number of uploads in one invocation, with ingest = \"queue\". Use more than 1 only for small objects: the whole batch has one timeout."
  type        = number
  default     = 1

  validation {
    condition     = var.queue_batch_size >= 1 && var.queue_batch_size <= 1000 && floor(var.queue_batch_size) == var.queue_batch_size
    error_message = "queue_batch_size must be a whole number of uploads from 1 to 1000."
  }
}

variable "queue_concurrency" {
  description = "Maximum number of concurrent invocations, with ingest = \"queue\". The other uploads wait in the queue, for up to 14 days."
  type        = number
  default     = 100

  validation {
    condition     = var.queue_concurrency >= 2 && var.queue_concurrency <= 1000 && floor(var.queue_concurrency) == var.queue_concurrency
    error_message = "queue_concurrency must be a whole number of invocations from 2 to 1000."
  }

  validation {
    # A throttled message counts as received. After five receives SQS moves it to the failure queue.
    condition     = var.ingest == "direct" || var.queue_concurrency <= coalesce(var.reserved_concurrency, 1000)
    error_message = "queue_concurrency must not exceed reserved_concurrency: throttled uploads would end in the failure queue without an attempt."
  }
}

variable "raw_object_days" {
  description = "Days until an upload expires. S3 keeps it for noncurrent_version_days more. null for no expiry."
  type        = number
  default     = null

  validation {
    condition     = var.raw_object_days == null ? true : var.raw_object_days >= 1 && floor(var.raw_object_days) == var.raw_object_days
    error_message = "raw_object_days must be a whole number of days, at least 1, or null."
  }
}

variable "reconcile_schedule" {
  description = "Schedule of a replay of all uploads, which publishes those whose event was lost: rate(1 day), or cron(0 3 * * ? *) in the syntax of EventBridge Scheduler, in UTC. null for none. Each run costs two requests per upload."
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
  description = "Days until rejected records expire."
  type        = number
  default     = 30

  validation {
    condition     = var.rejected_object_days >= 1 && floor(var.rejected_object_days) == var.rejected_object_days
    error_message = "rejected_object_days must be a whole number of days, at least 1."
  }

  validation {
    condition     = var.rejected_object_days <= var.noncurrent_version_days
    error_message = "rejected_object_days must not exceed noncurrent_version_days, so that rejected records do not outlive the upload that they came from."
  }
}

variable "rejected_records_threshold" {
  description = "The alarm rings if more records than this are rejected within five minutes."
  type        = number
  default     = 100

  validation {
    condition     = var.rejected_records_threshold >= 0 && floor(var.rejected_records_threshold) == var.rejected_records_threshold
    error_message = "rejected_records_threshold must be a whole number of records, at least 0."
  }
}

variable "reserved_concurrency" {
  description = "Reserved concurrency of data-processor, so that many uploads leave the API its share of the account's concurrency. Other uploads wait for at most six hours and then go to the failure queue. null for no limit of its own. AWS requires 100 of the account's concurrency to stay unreserved."
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
    error_message = "stage must be 2 to 16 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }

  validation {
    # Otherwise the role ikerian-<stage>-deployer could have the name of another stage's function role.
    condition     = !startswith(var.stage, "data-pipeline")
    error_message = "stage must not begin with data-pipeline, the beginning of all function names."
  }
}

variable "vpc_cidr" {
  description = "IPv4 range of a private VPC for the functions, such as 10.20.0.0/24; null for no VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_cidr == null || can(regex("/(1[6-9]|2[0-7])$", cidrsubnet(var.vpc_cidr, 0, 0)))
    error_message = "vpc_cidr must be an IPv4 range from /16 to /27, such as 10.20.0.0/24."
  }
}
