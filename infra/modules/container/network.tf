resource "aws_security_group" "this" {
  name        = var.name
  description = "Tasks of ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = var.name }
}

# AWS's services are reached by HTTPS, at addresses that change.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "AWS services"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  count                        = var.balancer == null ? 0 : 1
  security_group_id            = aws_security_group.this.id
  description                  = "Requests of the load balancer"
  ip_protocol                  = "tcp"
  from_port                    = var.containers[var.balancer.container].port
  to_port                      = var.containers[var.balancer.container].port
  referenced_security_group_id = var.balancer.security_group_id
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  count                        = var.balancer == null ? 0 : 1
  security_group_id            = var.balancer.security_group_id
  description                  = "Requests to ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = var.containers[var.balancer.container].port
  to_port                      = var.containers[var.balancer.container].port
  referenced_security_group_id = aws_security_group.this.id
}
