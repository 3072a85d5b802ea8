variable "name" {
  type        = string
  description = "What the names of all resources begin with, <project>-<env>; also their tag Stack, by which the budget counts."
}

variable "emails" {
  type        = list(string)
  description = "Who is told of alarms. Each must confirm a subscription."

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "Each of the emails is an address such as oncall@example.com."
  }
}

variable "budget_usd" {
  type        = number
  description = "Cost of a month in USD that is too much. Null: no budget."

  validation {
    condition     = try(var.budget_usd > 0, var.budget_usd == null)
    error_message = "The budget is over 0 USD."
  }
}

variable "night_hours" {
  type        = number
  description = "After so many hours without a finished job of Spark the night is missed. 0: no nights are expected."
}

variable "api" {
  type = object({
    cluster       = string
    service       = string
    balancer      = string
    target        = string
    latency_p99_s = number
  })
  description = "The API: its cluster and service, suffixes of its load balancer and target group, and the slowest that the 0.99 quantile may be."
}

variable "application_id" {
  type        = string
  description = "Id of the application of EMR Serverless; null where there is none."
}

variable "tables" {
  type        = list(string)
  description = "Names of the tables in DynamoDB."
}

variable "stream" {
  type = object({
    name     = string
    function = string
  })
  description = "The stream, and the Lambda that reads it; null before it is deployed."
}

variable "queues" {
  type = object({
    requests = string
    dead     = list(string)
  })
  description = "The queue of requests, and all queues in which a message stands for something that went wrong."
}

variable "key_arn" {
  type        = string
  description = "ARN of the key of the topic."
}

variable "log_days" {
  type        = number
  description = "Days for which the record of jobs is kept."
}
