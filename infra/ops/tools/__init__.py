"""Wrappers of Terraform and Chalice, and the files of the package."""
