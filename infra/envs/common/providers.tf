terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
  backend "s3" {} # its bucket and key are given to `terraform init`; see infra/README.md
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = "formcast"
      Environment = local.env
      Stack       = "formcast-${local.env}"
      ManagedBy   = "terraform"
    }
  }
}
