data "aws_region" "this" {}

locals {
  scales  = var.tasks.max > var.tasks.min ? 1 : 0
  scratch = { sourceVolume = "scratch", containerPath = "/scratch", readOnly = false }

  logs = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.this.name
      awslogs-region        = data.aws_region.this.name
      awslogs-stream-prefix = "task"
    }
  }

  environment = {
    AWS_DEFAULT_REGION = data.aws_region.this.name
    TMPDIR             = "/scratch"
  }

  # What all containers are: unable to change their image, or to gain rights.
  hardened = {
    image                  = var.image
    logConfiguration       = local.logs
    mountPoints            = [local.scratch]
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
  }

  # A volume of Fargate belongs to root; programs run as nobody.
  open_scratch = merge(local.hardened, {
    name       = "scratch"
    essential  = false
    user       = "0"
    entryPoint = ["chmod"]
    command    = ["1777", "/scratch"]
  })

  containers = [for name, one in var.containers : merge(local.hardened, {
    name         = name
    essential    = !one.once
    entryPoint   = one.entry_point
    command      = one.command
    environment  = [for key, value in merge(local.environment, one.environment) : { name = key, value = value }]
    secrets      = [for key, arn in one.secrets : { name = key, valueFrom = arn }]
    portMappings = one.port == null ? [] : [{ containerPort = one.port, protocol = "tcp" }]
    healthCheck = one.health == null ? null : {
      command = concat(["CMD"], one.health), interval = 10, retries = 3, startPeriod = 60, timeout = 5
    }
    dependsOn = [
      for other, condition in merge({ scratch = "SUCCESS" }, one.after) : { containerName = other, condition = condition }
    ]
    stopTimeout = var.stop_seconds
  })]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}"
  kms_key_id        = var.key_arn
  retention_in_days = var.log_days
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = aws_iam_role.run.arn
  # Without the fields that are null, as ECS answers it: a plan shows real changes only.
  container_definitions = jsonencode([
    for one in concat([local.open_scratch], local.containers) : { for key, value in one : key => value if value != null }
  ])

  volume {
    name = "scratch"
  }
}

resource "aws_ecs_service" "this" {
  name             = var.name
  cluster          = var.cluster
  task_definition  = aws_ecs_task_definition.this.arn
  desired_count    = var.tasks.min
  launch_type      = "FARGATE"
  platform_version = "1.4.0"
  propagate_tags   = "SERVICE"

  availability_zone_rebalancing      = var.single ? "DISABLED" : "ENABLED"
  deployment_minimum_healthy_percent = var.single ? 0 : 100
  deployment_maximum_percent         = var.single ? 100 : 200
  health_check_grace_period_seconds  = var.balancer == null ? null : 120

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = var.balancer[*]
    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = load_balancer.value.container
      container_port   = var.containers[load_balancer.value.container].port
    }
  }

  lifecycle {
    ignore_changes = [desired_count] # autoscaling sets it
  }
}

resource "aws_appautoscaling_target" "this" {
  count              = local.scales
  service_namespace  = "ecs"
  resource_id        = "service/${var.cluster}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.tasks.min
  max_capacity       = var.tasks.max
}

resource "aws_appautoscaling_policy" "cpu" {
  count              = local.scales
  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  resource_id        = aws_appautoscaling_target.this[0].resource_id
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 60
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
