"""Other programs and files here: Terraform, Chalice, what goes into the package."""
