# The stage `prod`. Every setting, its meaning and its default: ../variables.tf
stage  = "prod"
region = "us-east-1"
