variable "account" {
  description = "Number of the AWS account."
  type        = string
}

variable "boundary_arn" {
  description = "ARN of the policy that bounds the roles of the stage's functions."
  type        = string
}

variable "owner_id" {
  description = "GitHub's number for the repository's owner."
  type        = number
}

variable "provider_arn" {
  description = "ARN of the identity provider that vouches for GitHub's jobs."
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
  description = "Name of the stage, and of the GitHub environment whose jobs deploy it."
  type        = string

  # As ../../variables.tf: a longer name could be that of another stage's function.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.stage)) && !startswith(var.stage, "data-pipeline")
    error_message = "stage must be 2 to 16 lower-case letters, digits and hyphens, with a letter first and no hyphen last, and not begin with data-pipeline."
  }
}

variable "state_bucket_arn" {
  description = "ARN of the bucket with the Terraform states."
  type        = string
}
