variable "account" {
  description = "Number of the AWS account."
  type        = string
}

variable "boundary_arn" {
  description = "ARN of the permissions boundary of the stage's roles."
  type        = string
}

variable "owner_id" {
  description = "GitHub's number for the repository's owner."
  type        = number
}

variable "provider_arn" {
  description = "ARN of the OIDC identity provider for GitHub's jobs."
  type        = string
}

variable "region" {
  description = "AWS region of the stage."
  type        = string
}

variable "repository" {
  description = "GitHub repository that deploys, as owner/name."
  type        = string
}

variable "repository_id" {
  description = "GitHub's number for the repository."
  type        = number
}

variable "stage" {
  description = "Name of the stage, and of the GitHub environment that deploys it."
  type        = string

  # As in ../../variables.tf: other names could collide with another stage's function role.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.stage)) && !startswith(var.stage, "data-pipeline")
    error_message = "stage must be 2 to 16 lower-case letters, digits and hyphens, start with a letter, not end with a hyphen, and not begin with data-pipeline."
  }
}

variable "state_bucket_arn" {
  description = "ARN of the bucket with the Terraform states."
  type        = string
}
