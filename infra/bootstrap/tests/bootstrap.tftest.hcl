mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

# Those below the region are of ../modules/deployer.
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

run "region_must_be_one" {
  command = plan
  variables { region = "Frankfurt" }
  expect_failures = [var.region]
}

run "nobody_deploys_from_github_unless_a_repository_is_named" {
  command = plan

  assert {
    condition     = output.deployer_role_arns == {} && length(aws_iam_openid_connect_provider.github) == 0
    error_message = "An account trusts GitHub only where somebody has said whom."
  }
}

run "a_named_repository_deploys_every_stage_that_has_a_file" {
  command = plan
  variables {
    github_repository    = "somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
  }

  assert {
    condition     = toset(keys(output.deployer_role_arns)) == toset([for file in fileset("../env", "*.tfvars") : trimsuffix(file, ".tfvars")])
    error_message = "Each stage has a role of its own."
  }
  assert {
    condition     = aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "GitHub's tokens are taken only when they were asked for AWS."
  }
}

run "an_account_that_knows_github_already_keeps_its_provider" {
  command = plan
  variables {
    github_repository    = "somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
    make_github_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "AWS takes one provider an address."
  }
}

run "a_deployer_is_one_environment_of_one_repository" {
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
    error_message = "No other repository or environment deploys the stage, and this one by either of its names."
  }
  assert {
    condition = 10240 > length(join("", [
      aws_iam_role_policy.keeps_the_state.policy,
      aws_iam_role_policy.sees_no_scan.policy,
      aws_iam_role_policy.deploys_the_foundation.policy,
      aws_iam_role_policy.deploys_the_application.policy,
      aws_iam_role_policy.tries_what_is_deployed.policy,
    ]))
    error_message = "AWS takes 10,240 characters of policies with a role."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.tries_what_is_deployed.policy).Statement : [
        for resource in flatten([statement.Resource]) : resource if !endswith(resource, "-${join("", [for _ in range(26) : "?"])}/smoke-test/*")
      ] if startswith(flatten([statement.Action])[0], "s3:")
    ] == [[], []]
    error_message = "What it tries is below smoke-test/."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.tries_what_is_deployed.policy).Statement : statement.Resource
      if contains(flatten([statement.Action]), "s3:PutObject")
    ] == ["arn:aws:s3:::ikerian-dev-raw-${join("", [for _ in range(26) : "?"])}/smoke-test/*"]
    error_message = "It uploads to the raw bucket alone."
  }
}

run "every_stage_that_has_a_file_has_a_boundary_whoever_deploys_it" {
  command = plan

  assert {
    condition     = toset([for boundary in module.boundary : boundary.name]) == toset([for file in fileset("../env", "*.tfvars") : "ikerian-${trimsuffix(file, ".tfvars")}-boundary"])
    error_message = "The foundation gives its roles the boundary of this name."
  }
}

run "roles_are_made_within_their_boundary" {
  command = plan
  module {
    source = "../modules/deployer"
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.deploys_the_foundation.policy).Statement : statement.Condition
      if length(setintersection(flatten([statement.Action]), ["iam:CreateRole", "iam:PutRolePolicy"])) > 0
    ] == [{ StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::123456789012:policy/boundary" } }]
    error_message = "Who makes roles without a boundary makes them as powerful as anybody."
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
    error_message = "Who can change the boundary is not bound by it."
  }
}

run "nobody_deploys_a_stage_that_is_named_like_another_ones_function" {
  command = plan
  module {
    source = "../modules/deployer"
  }
  variables { stage = "dev-data-processor" }
  expect_failures = [var.stage]
}

run "github_repository_must_be_one" {
  command = plan
  variables {
    github_repository    = "https://github.com/somebody/data-pipeline"
    github_owner_id      = 12
    github_repository_id = 345
  }
  expect_failures = [var.github_repository]
}

run "github_repository_wants_its_numbers" {
  command = plan
  variables { github_repository = "somebody/data-pipeline" }
  expect_failures = [var.github_owner_id, var.github_repository_id]
}
