"""Runs Terraform on a copy of infra/, against a stand-in for AWS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.infra.hcl import INFRA
from tests.infra.stand_in import environment_of

OVERRIDE = """
terraform {
  backend "local" {}
}
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}
"""
NOT_COPIED = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*", "*.tfvars*")
MINUTES = 10


class TerraformError(Exception):
    """Terraform failed; the message is what it said."""


class Terraform:
    """One environment in a copy of infra/, its state beside it."""

    def __init__(self, folder: Path, env: str, endpoint: str) -> None:
        """folder: is made. Raises TerraformError where Terraform or its provider cannot be had."""
        shutil.copytree(INFRA, folder, symlinks=True, ignore=NOT_COPIED)
        self.folder = folder / "envs" / env
        (self.folder / "stand_in_override.tf").write_text(OVERRIDE, encoding="utf-8")
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
        self._env = own | environment_of(endpoint) | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        if shutil.which("terraform") is None:
            raise TerraformError("Terraform is not on the PATH: install 1.11 or newer.")
        plugins = os.environ.get("TF_PLUGIN_DIR")
        try:
            self.run("init", "-no-color", *([f"-plugin-dir={plugins}"] if plugins else []))
        except TerraformError as error:
            said = " ".join(str(error).rpartition("Error: ")[2].split())
            raise TerraformError(
                f"Terraform cannot be set up: {said} It needs the aws provider 5.100.0, from its registry or from a "
                "folder of providers that TF_PLUGIN_DIR names."
            ) from error

    def run(self, command: str, *options: str) -> str:
        """What a command prints. Raises TerraformError where it fails."""
        done = subprocess.run(
            ["terraform", command, *options],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
            check=False,
        )
        if done.returncode:
            raise TerraformError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, values: dict[str, Any]) -> dict[str, Any]:
        """Apply with these variables; the outputs."""
        self._change("apply", self._file("applied", values))
        outputs = json.loads(self.run("output", "-json"))
        return {name: output["value"] for name, output in outputs.items()}

    def plan(self, values: dict[str, Any]) -> dict[str, Any]:
        """The plan with these variables, as `terraform show -json` has it."""
        self.run(
            "plan", "-input=false", "-no-color", "-out=plan.tfplan", f"-var-file={self._file('planned', values)}"
        )
        return dict(json.loads(self.run("show", "-json", "plan.tfplan")))

    def destroy(self) -> None:
        """Destroy what was applied."""
        self._change("destroy", self.folder / "applied.json")

    def _change(self, command: str, variables: Path) -> None:
        self.run(command, "-auto-approve", "-input=false", "-no-color", "-parallelism=20", f"-var-file={variables}")

    def _file(self, name: str, values: dict[str, Any]) -> Path:
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        return file
