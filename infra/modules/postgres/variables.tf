variable "name" {
  type        = string
  description = "Name of the instance: <project>-<env>-<thing>."
}

variable "database" {
  type        = string
  description = "Name of the database, and of the user who owns it."

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.database))
    error_message = "The database's name is lower case letters, digits and underscores."
  }
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where it runs: private subnets in two zones or more."
}

variable "clients" {
  type        = map(string)
  description = "Security groups that may connect, by what they are."
}

variable "instance" {
  type = object({
    class  = string
    gib    = number
    max    = number
    zones  = number
    backup = number
  })
  description = "Class, disk at first and at most (GiB), zones (1, or 2 for a standby), days of backups."
}

variable "password_version" {
  type        = number
  default     = 1
  description = "Raise it for a new password."
}

variable "protected" {
  type        = bool
  description = "Whether it cannot be deleted, and leaves a snapshot when it is."
}

variable "key_arn" {
  type        = string
  description = "ARN of the key of disk and password."
}
