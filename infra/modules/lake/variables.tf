variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "bucket" {
  type        = string
  default     = null
  description = "Name of the lake's bucket. Null: <name>-lake-<account>."
}

variable "prefix" {
  type        = string
  description = "Folder of the lake in its bucket; FORMCAST_LAKE is s3://<bucket>/<prefix>."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9/_-]*[a-z0-9]$", var.prefix))
    error_message = "The prefix is a folder such as lake or formcast/prod, without a slash at either end."
  }
}

variable "old_version_days" {
  type        = number
  description = "Days for which S3 keeps what was overwritten or deleted."

  validation {
    condition     = var.old_version_days >= 7
    error_message = "Keep old versions for at least 7 days: they are what undoes a mistaken deletion."
  }
}

variable "log_days" {
  type        = number
  description = "Days for which logs of Spark and Airflow are kept."
}

variable "deletable" {
  type        = bool
  description = "Whether `terraform destroy` may delete a bucket that holds data."
}
