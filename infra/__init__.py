"""What the application stands on: Terraform for the cloud, `infra.ops` for its operators."""
