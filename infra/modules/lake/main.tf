data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.name

  bucket  = coalesce(var.bucket, "${var.name}-lake-${local.account}")
  arn     = "arn:${local.partition}:s3:::${local.bucket}"
  objects = "${local.arn}/${var.prefix}"
}

resource "aws_s3_bucket" "this" {
  bucket        = local.bucket
  force_destroy = var.deletable
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    bucket_key_enabled = true # one call of KMS serves many objects
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this.arn
    }
  }
}

# Tables are never expired here: `maintain_tables` knows which of their files nobody reads any more.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket     = aws_s3_bucket.this.id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = { logs = var.log_days, athena = 7 }
    content {
      id     = rule.key
      status = "Enabled"
      filter {
        prefix = "${var.prefix}/${rule.key}/"
      }
      expiration {
        days = rule.value
      }
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = data.aws_iam_policy_document.bucket.json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

module "only_tls" {
  source    = "../only_tls"
  actions   = ["s3:*"]
  resources = [local.arn, "${local.arn}/*"]
}

data "aws_iam_policy_document" "bucket" {
  source_policy_documents = [module.only_tls.policy]

  # A package of code is written once: what a version means never changes.
  statement {
    sid       = "CodeIsImmutable"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${local.objects}/code/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
    # Parts of a large upload carry no condition; the call that completes it does.
    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }
}
