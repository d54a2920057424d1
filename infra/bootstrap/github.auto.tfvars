# Which GitHub repository deploys the stages: take the marks off, and `make bootstrap`. The numbers are what
# `gh api repos/OWNER/NAME --jq '.owner.id,.id'` prints. ../README.md says the rest.
# github_repository    = "owner/name"
# github_owner_id      = 1
# github_repository_id = 2
