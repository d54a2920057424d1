module "network" {
  source = "./modules/network"
  count  = var.vpc_cidr == null ? 0 : 1

  account     = data.aws_caller_identity.current.account_id
  bucket_arns = [module.raw_bucket.arn, module.processed_bucket.arn, module.rejected_bucket.arn]
  cidr        = var.vpc_cidr
  name        = local.api_name
  region      = var.region
}
