variable "access_log_bucket" {
  description = "Name of the bucket that takes the access logs; null for none."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether the bucket may be destroyed while it holds objects."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key of SSE-KMS; null for SSE-S3."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of the bucket; null where name_prefix is given."
  type        = string
  default     = null
}

variable "name_prefix" {
  description = "How the name starts, S3 wants it unique: Terraform adds the rest. Null where name is given."
  type        = string
  default     = null
}

variable "noncurrent_version_days" {
  description = "Days that a replaced or deleted version is kept."
  type        = number
}

variable "object_days" {
  description = "Days that an object is kept; null for ever."
  type        = number
  default     = null
}
