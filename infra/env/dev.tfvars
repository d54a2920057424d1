# The stage `dev`. ../variables.tf has every setting, its meaning and its default.
stage  = "dev"
region = "us-east-1"

noncurrent_version_days = 30
rejected_object_days    = 14
