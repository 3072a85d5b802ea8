variable "name" {
  type        = string
  description = "What the names of all resources begin with: <project>-<env>."
}

variable "lake" {
  type = object({
    bucket_arn  = string
    uri         = string
    objects_arn = string
    key_arn     = string
  })
  description = "The lake: ARNs of its bucket and folder, FORMCAST_LAKE, its key."
}

variable "athena" {
  type        = bool
  description = "Whether analysts get a workgroup of Athena."
}

variable "scan_gib" {
  type        = number
  description = "A query of Athena that reads more is stopped."
}

variable "postgres" {
  type = object({
    class  = string
    gib    = number
    max    = number
    zones  = number
    backup = number
  })
  description = "A PostgreSQL for `formcast export`. Null: none."
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  description = "Where PostgreSQL runs: private subnets in two zones or more."
}

variable "clients" {
  type        = map(string)
  description = "Security groups that may connect to PostgreSQL, by what they are."
}

variable "protected" {
  type        = bool
  description = "Whether PostgreSQL and the workgroup's history cannot be deleted."
}
