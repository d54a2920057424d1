variable "account" {
  description = "Number of the AWS account."
  type        = string
}

variable "region" {
  description = "AWS region of the stage."
  type        = string
}

variable "stage" {
  description = "Name of the stage."
  type        = string
}
