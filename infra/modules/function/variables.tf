variable "in_vpc" {
  description = "Whether the function runs in a VPC."
  type        = bool
}

variable "log_retention_days" {
  description = "Retention of the log, in days."
  type        = number
}

variable "name" {
  description = "Name of the function, of its role and its log group."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "ARN of the role's permissions boundary."
  type        = string
}
