"""The steps, one a module, each `(StepContext) -> StepResult`; imported only when they run."""

from importlib import import_module

from jobs.edge.ledger import STEPS
from jobs.errors import UsageError
from jobs.runner import Step


def load_step(name: str) -> Step:
    """The step's function: module `jobs.steps.<name>`, function `<name>`. Raises UsageError for another name."""
    if name not in STEPS:
        raise UsageError(f"There is no step {name!r}: it is one of {', '.join(STEPS)}.")
    step: Step = getattr(import_module(f"jobs.steps.{name}"), name)
    return step
