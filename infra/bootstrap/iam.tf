# The permissions boundary of each stage, and the roles in which GitHub Actions deploys. Only jobs of one repository
# may assume them, each the role of the stage that its GitHub environment is named after. There are no access keys:
# GitHub identifies the job by OIDC, and AWS issues credentials for an hour.

locals {
  github = "token.actions.githubusercontent.com"

  # Region by stage, from the files that `deploy` reads.
  stages = {
    for file in fileset("${path.module}/../env", "*.tfvars") :
    trimsuffix(file, ".tfvars") => regex("(?m)^region\\s*=\\s*\"(.+)\"", file("${path.module}/../env/${file}"))[0]
  }
}

module "boundary" {
  source   = "../modules/boundary"
  for_each = local.stages

  account = data.aws_caller_identity.current.account_id
  region  = each.value
  stage   = each.key
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.make_github_provider ? 1 : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

module "deployer" {
  source   = "../modules/deployer"
  for_each = var.github_repository == null ? {} : local.stages

  account          = data.aws_caller_identity.current.account_id
  boundary_arn     = module.boundary[each.key].arn
  owner_id         = var.github_owner_id
  provider_arn     = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${local.github}"
  region           = each.value
  repository       = var.github_repository
  repository_id    = var.github_repository_id
  stage            = each.key
  state_bucket_arn = module.state_bucket.arn

  # The provider must exist before a role can trust it.
  depends_on = [aws_iam_openid_connect_provider.github]
}
