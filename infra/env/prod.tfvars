# The stage `prod`. Every setting, its meaning and its default: ../variables.tf
stage  = "prod"
region = "eu-central-1"
