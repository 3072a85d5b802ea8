data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  here = "${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
  ec2  = "arn:${data.aws_partition.this.partition}:ec2:${local.here}"
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-endpoint"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "this" {
  name   = "run"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.run.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "run" {
  source_policy_documents = concat([var.lake.read_serving_policy], var.policies)

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }

  # ECR gives its token to an account, not for a repository: no resource can be named.
  statement {
    sid       = "RegistryToken"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid = "Network"
    actions = [
      "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
      "ec2:DeleteNetworkInterfacePermission",
    ]
    resources = concat(
      ["${local.ec2}:network-interface/*", "${local.ec2}:security-group/${aws_security_group.this.id}"],
      [for subnet in var.network.subnet_ids : "${local.ec2}:subnet/${subnet}"],
    )
  }

  # EC2 lets whoever looks see all that is there: no resource can be named.
  statement {
    sid = "NetworkLook"
    actions = [
      "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
      "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }
}
