variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "package" {
  type = object({
    bucket = string
    key    = string
  })
  description = "Where the Lambda's zip is. Null: not deployed yet, no Lambda is made."
}

variable "retention_hours" {
  type        = number
  description = "For how long Kinesis keeps events, and so how long the Lambda may be down."

  validation {
    condition     = var.retention_hours >= local.tries_hours + 24 && var.retention_hours <= 8760
    error_message = "Kinesis keeps events for 48 to 8760 hours: a day of tries, and one to read again what was given up."
  }
}

variable "environment" {
  type        = map(string)
  description = "FORMCAST_* of whoever reads published scores."
}

variable "lake" {
  type = object({
    key_arn             = string
    read_serving_policy = string
  })
  description = "The lake: its key, and the policy of who reads its published generations."
}

variable "policies" {
  type        = list(string)
  description = "IAM policies (JSON) of the Lambda for the tables: read the generation's, write streamed scores."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
