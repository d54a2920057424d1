# The stage `prod`. ../variables.tf has every setting, its meaning and its default.
stage  = "prod"
region = "us-east-1"
