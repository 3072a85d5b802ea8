variable "actions" {
  type        = list(string)
  description = "What is denied in clear text, such as s3:*."
}

variable "resources" {
  type        = list(string)
  description = "ARNs of what is reached by TLS alone."
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = var.actions
    resources = var.resources
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

output "policy" {
  description = "Resource policy (JSON) that denies whatever comes in clear text."
  value       = data.aws_iam_policy_document.this.json
}
