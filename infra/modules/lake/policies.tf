# What others may do with the lake: said once here, attached where it is needed.
# Whoever may list gets "not there" (404) for what is not there, and who may not gets "denied" (403), as he also does
# where listing is bound to a prefix. All programs rely on the former, so the bucket is listed whole.
locals {
  use_key = ["kms:Decrypt", "kms:GenerateDataKey"]
}

data "aws_iam_policy_document" "write" {
  statement {
    sid       = "LakeList"
    actions   = ["s3:ListBucket"]
    resources = [local.arn]
  }

  statement {
    sid = "LakeWrite"
    actions = [
      "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject",
    ]
    resources = ["${local.objects}/*"]
  }

  # What a job or Airflow runs is not for jobs to change.
  statement {
    sid       = "CodeOnlyRead"
    effect    = "Deny"
    actions   = ["s3:DeleteObject", "s3:PutObject"]
    resources = ["${local.objects}/code/*", "${local.objects}/airflow/*"]
  }

  statement {
    sid       = "LakeKey"
    actions   = local.use_key
    resources = [aws_kms_key.this.arn]
  }
}

# Published generations: all that whoever answers needs of the lake.
data "aws_iam_policy_document" "read_serving" {
  statement {
    sid       = "ServingList"
    actions   = ["s3:ListBucket"]
    resources = [local.arn]
  }

  statement {
    sid       = "ServingRead"
    actions   = ["s3:GetObject"]
    resources = ["${local.objects}/serving/*"]
  }

  statement {
    sid       = "ServingKey"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.this.arn]
  }
}
