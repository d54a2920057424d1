output "deployer_role_arns" {
  description = "ARN of the role in which GitHub Actions deploys a stage, by stage; empty where no repository is named."
  value       = { for stage, deployer in module.deployer : stage => deployer.role_arn }
}

output "state_bucket_name" {
  description = "Name of the bucket that keeps the Terraform state."
  value       = module.state_bucket.name
}
