# The stage `dev`. Every setting, its meaning and its default: ../variables.tf
stage  = "dev"
region = "us-east-1"

noncurrent_version_days = 30
rejected_object_days    = 14
