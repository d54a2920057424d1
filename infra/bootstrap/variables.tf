variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the bucket while it contains states. The resources in them remain, without a state."
  type        = bool
  default     = false
}

variable "github_owner_id" {
  description = "GitHub's number for the repository's owner: `gh api repos/OWNER/NAME --jq '.owner.id,.id'` prints it and that of the repository."
  type        = number
  default     = null

  validation {
    condition     = (var.github_owner_id == null) == (var.github_repository == null)
    error_message = "Set github_owner_id together with github_repository, or neither."
  }
}

variable "github_repository" {
  description = "GitHub repository whose Actions deploy the stages, as owner/name, spelt as GitHub shows it (case counts); null for none."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be a repository's owner and name, such as ikerian/data-pipeline."
  }
}

variable "github_repository_id" {
  description = "GitHub's number for the repository."
  type        = number
  default     = null

  validation {
    condition     = (var.github_repository_id == null) == (var.github_repository == null)
    error_message = "Set github_repository_id together with github_repository, or neither."
  }
}

variable "make_github_provider" {
  description = "Whether to create the OIDC identity provider for GitHub's jobs; false if the account has it already. An account can have only one."
  type        = bool
  default     = true
}

variable "region" {
  description = "AWS region of the state bucket, as in ../env/<stage>.s3.tfbackend."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be an AWS region, such as eu-central-1."
  }
}
