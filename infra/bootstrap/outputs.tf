output "state_bucket_name" {
  description = "Name of the bucket that keeps the Terraform state."
  value       = module.state_bucket.name
}
