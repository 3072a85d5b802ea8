variable "name" {
  type        = string
  description = "Name of the service: <project>-<env>-<thing>."
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
  description = "Where tasks run: private subnets that reach AWS's services."
}

variable "image" {
  type        = string
  description = "Image of all containers, with its digest or an immutable tag."
}

variable "repository_arn" {
  type        = string
  default     = null
  description = "ARN of the ECR repository of the image. Null: the image is public."
}

variable "size" {
  type = object({
    cpu    = number
    memory = number
  })
  description = "Of a task: cpu in 1/1024 of a virtual CPU, memory in MiB."
}

variable "tasks" {
  type = object({
    min = number
    max = number
  })
  description = "How many tasks run at least and at most. More are started above 60 % CPU."

  validation {
    condition     = var.tasks.min >= 0 && var.tasks.max >= max(var.tasks.min, 1)
    error_message = "Of tasks, min is 0 or more, and max is at least min and 1."
  }
}

variable "containers" {
  type = map(object({
    entry_point = optional(list(string))
    command     = optional(list(string))
    environment = optional(map(string), {})
    secrets     = optional(map(string), {}) # name in the environment => ARN, in the form that ECS takes
    port        = optional(number)
    health      = optional(list(string))
    after       = optional(map(string), {}) # container => START, HEALTHY or SUCCESS
    once        = optional(bool, false)     # it does its work and ends
  }))
  description = "Containers of a task by name. All may write to /scratch, which they share, and nowhere else."
}

variable "secret_arns" {
  type        = list(string)
  default     = []
  description = "ARNs of the secrets that `containers` names."
}

variable "policy" {
  type        = string
  description = "IAM policy (JSON): what the programs in the containers may do."
}

variable "balancer" {
  type = object({
    target_group_arn  = string
    security_group_id = string
    container         = string
  })
  default     = null
  description = "The load balancer that sends requests to the port of a container. Null: nothing is reached."
}

variable "stop_seconds" {
  type        = number
  default     = 30
  description = "After SIGTERM, for what a container has in hand. Fargate allows 120 at most."
}

variable "single" {
  type        = bool
  default     = false
  description = "Whether two tasks must never run at once, not even while a new version is deployed."
}

variable "key_arn" {
  type        = string
  description = "ARN of the key of logs and secrets."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
