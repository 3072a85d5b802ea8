# Counts what carries the tags Project and Environment: switch them on as cost allocation tags, once an account.
resource "aws_budgets_budget" "this" {
  count        = var.budget_usd == null ? 0 : 1
  name         = var.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.1f", var.budget_usd)
  limit_unit   = "USD"

  dynamic "cost_filter" {
    for_each = { Project = var.project, Environment = var.env }
    content {
      name   = "TagKeyValue"
      values = ["user:${cost_filter.key}$${cost_filter.value}"]
    }
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type         = notification.key
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      comparison_operator       = "GREATER_THAN"
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }
}
