variable "name" {
  type        = string
  description = "Name of the endpoint: <project>-<env>."
}

variable "image" {
  type        = string
  description = "Image of the API, which answers /ping and /invocations."
}

variable "repository_arn" {
  type        = string
  description = "ARN of the ECR repository of the image."
}

variable "instance" {
  type = object({
    type = string
    min  = number
    max  = number
  })
  description = "Type of the machines, and how many there are at least and at most."

  validation {
    condition     = var.instance.min >= 1 && var.instance.max >= var.instance.min
    error_message = "An endpoint has at least one machine, and max is at least min."
  }
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where the machines stand: private subnets that reach AWS's services."
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
  description = "IAM policies (JSON) of the endpoint for the tables: read scores."
}

variable "log_days" {
  type        = number
  description = "Days for which logs are kept."
}
