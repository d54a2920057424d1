variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the bucket while it holds states. What they describe stays, and nobody knows of it."
  type        = bool
  default     = false
}

variable "region" {
  description = "AWS region of the state bucket, as in ../env/<stage>.s3.tfbackend."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as eu-central-1."
  }
}
