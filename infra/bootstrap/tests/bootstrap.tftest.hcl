mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

# The variables below the region belong to ../modules/deployer.
variables {
  region = "eu-central-1"

  account          = "123456789012"
  boundary_arn     = "arn:aws:iam::123456789012:policy/boundary"
  owner_id         = 12
  provider_arn     = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  repository       = "somebody/data-pipeline"
  repository_id    = 345
  stage            = "dev"
  state_bucket_arn = "arn:aws:s3:::state"
}

run "the_state_bucket_is_named_for_the_account" {
  command = plan

  assert {
    condition     = output.state_bucket_name == "ikerian-data-pipeline-state-123456789012"
    error_message = "`deploy` looks for the state bucket under this name."
  }
}

run "region_must_be_a_region" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "github_may_not_deploy_without_a_configured_repository" {
  command = plan

  assert {
    condition     = output.deployer_role_arns == {} && length(aws_iam_openid_connect_provider.github) == 0
    error_message = "Without a configured repository, the account must not trust GitHub."
  }
}

run "a_configured_repository_deploys_every_stage_that_has_a_file" {
  command = plan
  variables {
    github_repository    = "somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
  }

  assert {
    condition     = toset(keys(output.deployer_role_arns)) == toset([for file in fileset("../env", "*.tfvars") : trimsuffix(file, ".tfvars")])
    error_message = "Each stage must have its own role."
  }
  assert {
    condition     = aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "GitHub's tokens must have the audience of AWS."
  }
}

run "an_existing_provider_for_github_is_kept" {
  command = plan
  variables {
    github_repository    = "somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
    make_github_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "AWS allows only one provider for a URL."
  }
}

run "a_deployer_trusts_one_environment_of_one_repository" {
  command = plan
  module {
    source = "../modules/deployer"
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals == {
      "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
      "token.actions.githubusercontent.com:sub" = [
        "repo:somebody/data-pipeline:environment:dev",
        "repo:somebody@12/data-pipeline@345:environment:dev",
      ]
    }
    error_message = "The role must trust this repository and environment only, with both forms of the subject."
  }
  assert {
    condition = 10240 > length(join("", [
      aws_iam_role_policy.keeps_the_state.policy,
      aws_iam_role_policy.sees_no_scan.policy,
      aws_iam_role_policy.deploys_the_foundation.policy,
      aws_iam_role_policy.deploys_the_application.policy,
      aws_iam_role_policy.tries_what_is_deployed.policy,
    ]))
    error_message = "AWS allows 10,240 characters of inline policies for a role."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.tries_what_is_deployed.policy).Statement : [
        for resource in flatten([statement.Resource]) : resource if !endswith(resource, "-${join("", [for _ in range(26) : "?"])}/smoke-test/*")
      ] if startswith(flatten([statement.Action])[0], "s3:")
    ] == [[], []]
    error_message = "It may access only objects below smoke-test/."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.tries_what_is_deployed.policy).Statement : statement.Resource
      if contains(flatten([statement.Action]), "s3:PutObject")
    ] == ["arn:aws:s3:::ikerian-dev-raw-${join("", [for _ in range(26) : "?"])}/smoke-test/*"]
    error_message = "It may upload to the raw bucket only."
  }
}

run "every_stage_that_has_a_file_has_a_boundary" {
  command = plan

  assert {
    condition     = toset([for boundary in module.boundary : boundary.name]) == toset([for file in fileset("../env", "*.tfvars") : "ikerian-${trimsuffix(file, ".tfvars")}-boundary"])
    error_message = "The foundation uses a boundary of this name."
  }
}

run "roles_are_created_with_the_boundary_only" {
  command = plan
  module {
    source = "../modules/deployer"
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.deploys_the_foundation.policy).Statement : statement.Condition
      if length(setintersection(flatten([statement.Action]), ["iam:CreateRole", "iam:PutRolePolicy"])) > 0
    ] == [{ StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::123456789012:policy/boundary" } }]
    error_message = "Without this condition, a deployer could create roles with any permissions."
  }
  assert {
    condition = !anytrue([
      for policy in [
        aws_iam_role_policy.keeps_the_state.policy,
        aws_iam_role_policy.deploys_the_foundation.policy,
        aws_iam_role_policy.deploys_the_application.policy,
        aws_iam_role_policy.tries_what_is_deployed.policy,
      ] : strcontains(policy, "PermissionsBoundary\",") || strcontains(policy, "iam:*") || strcontains(policy, "Policy*") || strcontains(policy, "CreatePolicyVersion")
    ])
    error_message = "A deployer must not be able to change the boundary."
  }
}

run "no_stage_may_have_the_name_of_another_stages_function" {
  command = plan
  module {
    source = "../modules/deployer"
  }
  variables { stage = "dev-data-processor" }
  expect_failures = [var.stage]
}

run "github_repository_must_be_a_repository" {
  command = plan
  variables {
    github_repository    = "https://github.com/somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
  }
  expect_failures = [var.github_repository]
}

run "github_repository_requires_its_ids" {
  command = plan
  variables { github_repository = "somebody/data-pipeline" }
  expect_failures = [var.github_owner_id, var.github_repository_id]
}
