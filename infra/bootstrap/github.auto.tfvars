# Which GitHub repository deploys the stages: take the mark off, and `make bootstrap`. ../../README.md says the rest.
# github_repository = "owner/name"
