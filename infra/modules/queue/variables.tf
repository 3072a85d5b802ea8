variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "cluster" {
  type        = string
  description = "Name of the ECS cluster."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where workers run: private subnets that reach AWS's services."
}

variable "image" {
  type        = string
  description = "Image of API and worker. Null: not pushed yet, no worker is started."
}

variable "repository_arn" {
  type        = string
  description = "ARN of the ECR repository of the image."
}

variable "tasks" {
  type = object({
    min = number
    max = number
  })
  description = "How many workers run at least and at most."
}

variable "reply_to" {
  type        = string
  description = "Where answers go unless a request says otherwise: queue or topic."

  validation {
    condition     = contains(["queue", "topic"], var.reply_to)
    error_message = "Answers go to a queue or to a topic."
  }
}

variable "reply_arns" {
  type        = list(string)
  description = "ARNs of further queues to which a request may have its answer sent."
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
  description = "IAM policies (JSON) of a worker for the tables: read scores, keep answers."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
