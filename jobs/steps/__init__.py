"""The steps, one a module, each `(StepContext) -> StepResult`; imported only when they run."""

from importlib import import_module

from jobs.runner import Step

STEPS = ("prepare", "monitor", "train", "promote", "score", "publish")


def load_step(name: str) -> Step:
    """The step's function: module `jobs.steps.<name>`, function `<name>`."""
    step: Step = getattr(import_module(f"jobs.steps.{name}"), name)
    return step
