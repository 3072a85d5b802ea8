resource "aws_lb" "this" {
  name                       = var.name
  internal                   = var.balancer.internal
  load_balancer_type         = "application"
  subnets                    = var.balancer.subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.protected
  idle_timeout               = 60 # under the 75 s for which the API keeps a connection at rest
}

data "aws_subnet" "balancer" {
  for_each = toset(var.balancer.subnet_ids)
  id       = each.value
}

resource "aws_lb_target_group" "api" {
  name                 = "${var.name}-api"
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = local.port
  vpc_id               = var.network.vpc_id
  deregistration_delay = 30

  # Only who has a verified generation to answer from gets requests.
  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

# There is no listener on port 80: a key that was sent in clear text is a key that is lost.
resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.balancer.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}

resource "aws_security_group" "balancer" {
  name        = "${var.name}-balancer"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = toset(var.balancer.allowed_cidrs)
  security_group_id = aws_security_group.balancer.id
  description       = "Clients of the API"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
}
