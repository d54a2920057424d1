variable "in_vpc" {
  description = "Whether Lambda is to connect the function to a VPC."
  type        = bool
}

variable "log_retention_days" {
  description = "Days after which log lines are deleted."
  type        = number
}

variable "name" {
  description = "Name of the function, and so of its role and its log group."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "ARN of the IAM policy that bounds the role."
  type        = string
}
