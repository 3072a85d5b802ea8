locals {
  environment = merge(var.environment, {
    FORMCAST_HOST  = "0.0.0.0"
    FORMCAST_PORT  = "8080" # where SageMaker asks
    FORMCAST_CACHE = "/tmp/cache"
  })
  # A model cannot be changed, and the next one is made while the endpoint still has this one: so they differ in name.
  digest = substr(sha256(jsonencode([var.image, local.environment, var.network])), 0, 8)
}

resource "aws_sagemaker_model" "this" {
  name               = "${var.name}-${local.digest}"
  execution_role_arn = aws_iam_role.this.arn

  primary_container {
    image       = var.image
    environment = local.environment
  }

  vpc_config {
    subnets            = var.network.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  depends_on = [aws_iam_role_policy.this]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  name_prefix = "${var.name}-"
  kms_key_arn = var.lake.key_arn

  production_variants {
    variant_name           = "live"
    model_name             = aws_sagemaker_model.this.name
    instance_type          = var.instance.type
    initial_instance_count = var.instance.min
  }

  lifecycle {
    create_before_destroy = true # the endpoint names one at all times
  }
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name
  depends_on           = [aws_cloudwatch_log_group.this]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "sagemaker"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.this.name}/variant/live"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  min_capacity       = var.instance.min
  max_capacity       = var.instance.max
}

resource "aws_appautoscaling_policy" "requests" {
  name               = "${var.name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 60000 # a minute and machine
    predefined_metric_specification {
      predefined_metric_type = "SageMakerVariantInvocationsPerInstance"
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  kms_key_id        = var.lake.key_arn
  retention_in_days = var.log_days
}

resource "aws_security_group" "this" {
  name        = "${var.name}-endpoint"
  description = "SageMaker endpoint ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-endpoint" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "AWS services"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
