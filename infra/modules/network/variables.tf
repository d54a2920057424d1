variable "account" {
  description = "Number of the AWS account that owns the buckets."
  type        = string
}

variable "bucket_arns" {
  description = "ARNs of the buckets that the network gives access to."
  type        = list(string)
}

variable "cidr" {
  description = "Address range of the network."
  type        = string
}

variable "name" {
  description = "Name of all resources of the network."
  type        = string
}

variable "region" {
  description = "AWS region of the network."
  type        = string
}
