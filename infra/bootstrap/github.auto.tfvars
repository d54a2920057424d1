# The GitHub repository that deploys the stages: uncomment the lines, then `make bootstrap`. The numbers are those
# that `gh api repos/OWNER/NAME --jq '.owner.id,.id'` prints. More in ../README.md.
# github_repository    = "owner/name"
# github_owner_id      = 1
# github_repository_id = 2
