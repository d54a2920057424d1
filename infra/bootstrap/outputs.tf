output "deployer_role_arns" {
  description = "ARN of the role in which GitHub Actions deploys, by stage; empty if no repository is configured."
  value       = { for stage, deployer in module.deployer : stage => deployer.role_arn }
}

output "state_bucket_name" {
  description = "Name of the bucket with the Terraform state."
  value       = module.state_bucket.name
}
