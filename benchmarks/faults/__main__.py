"""Runs the campaign; its help says what can be asked for."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import inject
from benchmarks.faults.network import Network
from benchmarks.faults.places import Bucket, Folders, Place
from benchmarks.faults.reader import Reader
from benchmarks.faults.scenario import operations, write_inputs
from benchmarks.faults.state import State, differences, state_of
from tests.aws_server import aws_process

TRIES = 3


@dataclass
class Twin:
    """The undisturbed lake: the state after each step, how long each took, and the copies `twin-<n>` before it."""

    states: list[State] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """One trial: what was done to which step, and what is wrong afterwards."""

    fault: str
    step: str
    wrong: tuple[str, ...]
    reads: int


class Campaign:
    """Trials of the steps of one scenario in one place."""

    def __init__(self, place: Place, root: Path, seed: int, *, in_s3: bool, network: Network | None) -> None:
        self._place, self._root, self._seed, self._in_s3, self._network = place, root, seed, in_s3, network
        if not (root / "inputs").exists():
            write_inputs(root / "inputs", seed)
        self.ops = operations(root / "inputs", streams=not in_s3)
        self.twin = Twin()

    def build_twin(self) -> None:
        draw = random.Random(self._seed)  # noqa: S311
        for at, op in enumerate(self.ops):
            folder, lake = self._folder(f"twin-{at + 1}"), self._place.lake(f"twin-{at + 1}")
            known = folder / "seconds"
            if not known.exists():  # of a campaign before this one, with --keep
                self._place.copy(f"twin-{at}", f"twin-{at + 1}")
                begin = time.monotonic()
                if code := inject.Trial(op, lake, folder, 0.0, draw).run():
                    raise SystemExit(f"The twin's {op.run_id}.{op.step} ended with {code}: see {folder / 'log'}.")
                known.write_text(f"{time.monotonic() - begin:.1f}")
            self.twin.seconds.append(float(known.read_text()))
            self.twin.states.append(state_of(lake, folder / "cache"))
            print(f"twin: {op.run_id}.{op.step} in {self.twin.seconds[-1]:.1f} s", flush=True)

    def trial(self, number: int) -> Outcome:
        draw = random.Random(f"{self._seed}-{number}")  # noqa: S311
        at = draw.choice([at for at, op in enumerate(self.ops) for _ in range(1 if op.has_jvm else 2)])
        op, name = self.ops[at], f"trial-{number}"
        faults = inject.ANYWHERE if self._in_s3 else inject.IN_A_FOLDER
        faults += inject.WITH_A_JVM if op.has_jvm else ()
        faults += (self._cut_off, self._cut_off) if self._network else ()
        fault = draw.choice(faults)
        self._place.copy(f"twin-{at}", name)
        folder, lake = self._folder(name), self._place.lake(name)
        trial = inject.Trial(op, lake, folder, self.twin.seconds[at], draw)
        with contextlib.ExitStack() as disk:
            if fault is inject.on_a_full_disk and isinstance(self._place, Folders):
                disk.enter_context(self._place.small_disk(name))
            reader = Reader(lake, folder / "reads", self._sizes(at))
            reader.start()
            disk.callback(reader.stop)
            try:
                wrong = self._disturbed(trial, fault)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                wrong = [str(error)]
        wrong = wrong or differences(state_of(lake, folder / "cache"), self.twin.states[at])
        wrong += [f"torn: {line}" for line in list(dict.fromkeys(reader.torn))[:3]]
        if not wrong:
            self._place.delete(name)
        return Outcome(fault.__name__.strip("_"), f"{op.run_id}.{op.step}", tuple(wrong), reader.reads)

    @staticmethod
    def _disturbed(trial: inject.Trial, fault: inject.Fault) -> list[str]:
        """Do the step with the fault, then as an operator would: again, or cleared."""
        fault(trial)
        cleared = trial.draw.random() < 0.3
        codes = []
        for _ in range(TRIES):
            codes.append(trial.run(again=cleared))
            if codes[-1] == 0:
                return []
        return [f"cannot be continued: exit codes {codes}"]

    def _cut_off(self, trial: inject.Trial) -> None:
        """The network to the store is cut for some seconds at a moment of the step."""
        if self._network is None:
            raise AssertionError("a folder has no network")
        child = trial.start(AWS_ENDPOINT_URL=self._network.address)
        trial.pause()
        self._network.cut()
        time.sleep(trial.draw.uniform(0.5, 20))
        self._network.join()
        inject.ended(child)

    def _sizes(self, at: int) -> dict[str, set[int]]:
        after, before = self.twin.states[at], self.twin.states[at - 1] if at else {}
        return {name: {len(after[name]), len(before.get(name, []))} for name in ("forms", "predictions")}

    def _folder(self, name: str) -> Path:
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=sys.modules[__name__].__doc__)
    options.add_argument("--place", choices=("folder", "s3"), default="folder")
    options.add_argument("--faults", type=int, default=200, help="how many, at most")
    options.add_argument("--minutes", type=float, default=60, help="no trial begins after that")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=2, help="trials at once")
    options.add_argument(
        "--keep", type=Path, help="a folder for lakes and logs, which stay; a twin there is used again"
    )
    asked = options.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    with contextlib.ExitStack() as stack:
        root = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="formcast-faults-")))
        place, network = stack.enter_context(_place(asked.place, root))
        campaign = Campaign(place, root, asked.seed, in_s3=asked.place == "s3", network=network)
        campaign.build_twin()
        outcomes = []
        with ThreadPoolExecutor(1 if network else asked.jobs) as pool:
            numbers = iter(range(asked.faults))
            waiting = {pool.submit(campaign.trial, number) for number in _some(numbers, asked.jobs)}
            while waiting:
                done = next(as_completed(waiting))
                waiting.discard(done)
                outcomes.append(done.result())
                _tell(len(outcomes), outcomes[-1])
                if time.monotonic() < end:
                    waiting |= {pool.submit(campaign.trial, number) for number in _some(numbers, 1)}
    _summary(asked, outcomes)
    sys.exit(any(outcome.wrong for outcome in outcomes))


def _some(numbers: Iterator[int], most: int) -> list[int]:
    return [number for _, number in zip(range(most), numbers, strict=False)]


@contextlib.contextmanager
def _place(kind: str, root: Path) -> Iterator[tuple[Place, Network | None]]:
    if kind == "folder":
        yield Folders(root), None
        return
    with aws_process() as address:
        os.environ |= {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "eu-west-1"}
        os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        yield Bucket(), Network(address)


def _tell(number: int, outcome: Outcome) -> None:
    print(f"{number}: {outcome.fault} in {outcome.step}: {'; '.join(outcome.wrong) or 'alike'}", flush=True)


def _summary(asked: argparse.Namespace, outcomes: list[Outcome]) -> None:
    """The table for benchmarks/FAULTS.md."""
    kinds, bad = Counter(o.fault for o in outcomes), Counter(o.fault for o in outcomes if o.wrong)
    reads = sum(outcome.reads for outcome in outcomes)
    print(f"\n{len(outcomes)} faults ({asked.place}, seed {asked.seed}), {reads:,} reads meanwhile")
    print("\n| fault | trials | not as the twin |\n|---|---|---|")
    for kind in sorted(kinds):
        print(f"| {kind.replace('_', ' ')} | {kinds[kind]} | {bad[kind]} |")


if __name__ == "__main__":
    main()
