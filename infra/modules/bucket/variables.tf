variable "access_log_bucket" {
  description = "Name of the bucket for access logs; null for none."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether the bucket may be destroyed while it contains objects."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for SSE-KMS; null for SSE-S3."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of the bucket; null if name_prefix is set."
  type        = string
  default     = null
}

variable "name_prefix" {
  description = "Prefix of the name, which Terraform completes to a unique one; null if name is set."
  type        = string
  default     = null
}

variable "noncurrent_version_days" {
  description = "Days until a replaced or deleted version is removed."
  type        = number
}

variable "object_days" {
  description = "Days until an object expires; null for never."
  type        = number
  default     = null
}
