variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where jobs run: private subnets that reach AWS's services."
}

variable "serverless" {
  type = object({
    release       = string
    vcpus         = number
    memory_gb     = number
    disk_gb       = number
    idle_minutes  = number
    initial_count = number
  })
  description = "The application of EMR Serverless: most it may use at once, idle minutes until it stops, executors that stand ready. Null: none."

  validation {
    condition     = var.serverless == null || can(regex("^emr(-spark)?-\\d+\\.\\d+\\.\\d+$", var.serverless.release))
    error_message = "The release is a label such as emr-spark-8.1.0."
  }

  validation {
    condition     = try(var.serverless.vcpus >= 8 && var.serverless.memory_gb >= 32 && var.serverless.disk_gb >= 100, var.serverless == null)
    error_message = "A night needs at least 8 vCPUs, 32 GB of memory and 100 GB of disk."
  }

  validation {
    condition     = try(var.serverless.idle_minutes >= 1 && var.serverless.idle_minutes <= 60, var.serverless == null)
    error_message = "The application stops after 1 to 60 idle minutes."
  }
}

variable "input_arns" {
  type        = list(string)
  description = "ARNs of objects outside the lake that jobs may read, such as arn:aws:s3:::dumps/forms/*."
}

variable "lake" {
  type = object({
    key_arn      = string
    write_policy = string
  })
  description = "The lake: its key, and the policy of who writes it."
}

variable "policies" {
  type        = list(string)
  description = "Further IAM policies (JSON) of jobs, such as that for the tables of scores."
}
