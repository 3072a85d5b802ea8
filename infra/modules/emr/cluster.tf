# What a transient cluster needs that Airflow makes and ends: roles, security groups, and rules for its machines.
# AWS's own policy of the service acts only on what has this tag, so whoever makes the cluster gives it the tag too.
locals {
  managed = { for-use-with-amazon-emr-managed-policies = "true" }
  groups = {
    primary = "Primary node of clusters of ${var.name}"
    core    = "Core and task nodes of clusters of ${var.name}"
    service = "Access of EMR to clusters of ${var.name} in private subnets"
  }
  # EMR adds the rules by which nodes let each other in; these are the ones that it leaves to us.
  nodes  = ["primary", "core"]
  within = { for pair in setproduct(local.nodes, local.nodes) : join("-", pair) => pair }
  between = {
    primary = { from = "service", to = "primary", port = 8443 }
    core    = { from = "service", to = "core", port = 8443 }
    service = { from = "primary", to = "service", port = 9443 }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${var.name}-cluster"
  assume_role_policy = data.aws_iam_policy_document.cluster_trust.json
}

data "aws_iam_policy_document" "cluster_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["elasticmapreduce.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
}

resource "aws_iam_role_policy" "cluster" {
  name   = "cluster"
  role   = aws_iam_role.cluster.id
  policy = data.aws_iam_policy_document.cluster.json
}

data "aws_iam_policy_document" "cluster" {
  statement {
    sid       = "MachinesRunAsJobs"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.job.arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ec2.amazonaws.com"]
    }
  }

  statement {
    sid = "EncryptedDisks"
    actions = [
      "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
      "kms:ReEncryptFrom", "kms:ReEncryptTo",
    ]
    resources = [var.lake.key_arn]
  }

  statement {
    sid       = "EncryptedDisksOfMachines"
    actions   = ["kms:CreateGrant"]
    resources = [var.lake.key_arn]
    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }
}

resource "aws_emr_security_configuration" "this" {
  name = var.name
  configuration = jsonencode({
    InstanceMetadataServiceConfiguration = {
      MinimumInstanceMetadataServiceVersion = 2
      HttpPutResponseHopLimit               = 1
    }
    EncryptionConfiguration = {
      EnableInTransitEncryption = false # all nodes stand in one closed security group
      EnableAtRestEncryption    = true
      AtRestEncryptionConfiguration = {
        S3EncryptionConfiguration = { EncryptionMode = "SSE-KMS", AwsKmsKey = var.lake.key_arn }
        LocalDiskEncryptionConfiguration = {
          EncryptionKeyProviderType = "AwsKms", AwsKmsKey = var.lake.key_arn, EnableEbsEncryption = true
        }
      }
    }
  })
}

resource "aws_security_group" "cluster" {
  for_each               = local.groups
  name                   = "${var.name}-emr-${each.key}"
  description            = each.value
  vpc_id                 = var.network.vpc_id
  revoke_rules_on_delete = true # EMR's rules make the groups refer to each other
  tags                   = merge(local.managed, { Name = "${var.name}-emr-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "cluster" {
  for_each                     = local.between
  security_group_id            = aws_security_group.cluster[each.value.to].id
  description                  = "Control of the cluster by EMR, from ${each.value.from}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.cluster[each.value.from].id
}

resource "aws_vpc_security_group_egress_rule" "cluster" {
  for_each                     = local.between
  security_group_id            = aws_security_group.cluster[each.value.from].id
  description                  = "Control of the cluster by EMR, to ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.cluster[each.value.to].id
}

resource "aws_vpc_security_group_egress_rule" "within" {
  for_each                     = local.within
  security_group_id            = aws_security_group.cluster[each.value[0]].id
  description                  = "Nodes among themselves"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.cluster[each.value[1]].id
}

resource "aws_vpc_security_group_egress_rule" "cluster_aws" {
  for_each          = toset(local.nodes)
  security_group_id = aws_security_group.cluster[each.key].id
  description       = "AWS services"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_ec2_tag" "subnets" {
  for_each    = toset(var.network.subnet_ids)
  resource_id = each.value
  key         = keys(local.managed)[0]
  value       = "true"
}
