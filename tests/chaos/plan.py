"""Who is hurt when: every fault alone, then all together at random, then peace."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from chaos.crowd import Crowd
from chaos.faults import FAULTS, Fault, Stage
from chaos.orders import Order, orders, paintings
from chaos.world import World
from shared.errors import EaselError

_LANES: Final = 3
_ALONE_SHARE: Final = 0.5  # of the time at most goes into faults one by one
_PAUSE_SECONDS: Final = 0.3
_KILLS: Final = {"kill_child": 80, "kill_parent": 13, "kill_group": 7}
_LAST: Final = "queue_full_restart"  # it takes the whole stage, and all that waits with it


@dataclass
class Plan:
    """What one world has to go through."""

    seconds: float
    due: list[str]  # faults that must come about here
    jobs: int = 0  # how many the crowd submits; 0 for as many as keep the line busy
    peace: float = 90.0  # seconds without any step of any job, after which the last ones count as lost
    kills_per_second: float = 2.0
    only: bool = False  # whether nothing but what is due happens
    tell: Callable[[str], None] = field(default=lambda _: None)


class Director:
    """Hurts one world until its time is over."""

    def __init__(self, world: World, crowd: Crowd, plan: Plan, seed: int) -> None:
        self.world, self.crowd, self.plan, self._seed = world, crowd, plan, seed
        self.over = threading.Event()
        self._ends = time.monotonic() + plan.seconds
        self._free = threading.Condition()
        self._busy: list[str | None] = []  # domains of the faults at hand
        self.at_hand: list[str] = []
        names = plan.due if plan.only else [name for name, one in FAULTS.items() if world.cast.store in one.stores]
        self._repertoire = [FAULTS[name] for name in names if name != _LAST]

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self._ends - time.monotonic())

    def run(self) -> bool:
        """Whether every accepted job was seen to end in the peace after it."""
        submitters = [self._thread(self._submit, orders, "standard", 2 * self.world.cast.workers, 1)]
        if self.world.painter:
            submitters.append(self._thread(self._submit, paintings, "batch", 1, 2))
        self._one_by_one()
        lanes = [self._thread(self._lane, number) for number in range(_LANES)]
        if not self.plan.only:
            lanes.append(self._thread(self._kill, 99))
        for lane in lanes:
            lane.join()
        self._make_up()
        self.over.set()
        for submitter in submitters:
            submitter.join()
        return self._peace()

    def _one_by_one(self) -> None:
        until = self._ends - self.plan.seconds * (1 - _ALONE_SHARE)
        stage = self._stage(1000)
        for name in self.plan.due:
            if time.monotonic() < until and name != _LAST:
                self._perform(FAULTS[name], stage)
                time.sleep(_PAUSE_SECONDS)

    def _lane(self, number: int) -> None:
        """Faults at random, those first that have not come about yet; several lanes run beside each other."""
        stage = self._stage(number)
        while self.left and self._repertoire:
            missing = [one for one in self._repertoire if one.name in self.plan.due and not self._done(one.name)]
            one = stage.random.choice(missing or self._repertoire)
            if self._enter(one.domain):
                try:
                    self._perform(one, stage)
                finally:
                    self._leave(one.domain)
            time.sleep(stage.random.uniform(0, 2 * _PAUSE_SECONDS))

    def _kill(self, number: int) -> None:
        """Kill -9, over and over, beside everything else."""
        stage = self._stage(number)
        while self.left:
            time.sleep(stage.random.expovariate(self.plan.kills_per_second))
            self._perform(FAULTS[stage.random.choices(list(_KILLS), list(_KILLS.values()))[0]], stage)

    def _make_up(self) -> None:
        """For what the dice or a busy machine left out; and what needs the stage for itself comes last."""
        stage = self._stage(2000)
        for name in self.plan.due:
            for _ in range(3):
                if not self._done(name):
                    self._perform(FAULTS[name], stage)

    def _done(self, name: str) -> bool:
        return self.world.notes.faults[name] > 0

    def _perform(self, one: Fault, stage: Stage) -> None:
        self.at_hand.append(one.name)
        began = time.time()
        try:
            if happened := one.act(stage):
                self.world.notes.happened(one.name)
            self._write_down(one.name, began, "done" if happened else "no occasion")
        except EaselError as error:  # a fault may meet another one's trouble
            self._write_down(one.name, began, error.detail)
        finally:
            self.at_hand.remove(one.name)

    def _write_down(self, name: str, began: float, outcome: str) -> None:
        """For whoever has to find out later what happened when."""
        with (self.world.folder / "log" / "faults.log").open("a") as diary:
            diary.write(f"{began:.3f} {time.time() - began:6.2f} s  {name}: {outcome}\n")

    def _enter(self, domain: str | None) -> bool:
        with self._free:
            if domain is not None and domain in self._busy:
                return False
            self._busy.append(domain)
            return True

    def _leave(self, domain: str | None) -> None:
        with self._free:
            self._busy.remove(domain)

    def _submit(self, source: Callable[[Random], Iterator[Order]], tier: str, depth: int, number: int) -> None:
        wanted = source(Random(f"{self._seed} {tier} {number}"))  # noqa: S311 - chance, not secrecy
        sent = 0
        while not self.over.is_set() and self.left:
            if self._may_send(tier, depth, sent):
                self.crowd.send(next(wanted))
                sent += 1
            else:
                self.over.wait(_PAUSE_SECONDS / 3)

    def _may_send(self, tier: str, depth: int, sent: int) -> bool:
        """The line is short, and the crowd is not ahead of its time."""
        share = 1 - self.left / self.plan.seconds
        ahead = self.plan.jobs and sent >= min(self.plan.jobs, self.plan.jobs * share + depth)
        try:
            return not ahead and self.world.services.queue_stats.depth(tier) < depth
        except EaselError:
            return False

    def _peace(self) -> bool:
        began = time.monotonic()
        while waiting := self.crowd.waiting_for():
            self.plan.tell(f"peace; {len(waiting)} jobs have not ended")
            if time.monotonic() > max(began, self.crowd.moved_at) + self.plan.peace:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _stage(self, number: int) -> Stage:
        return Stage(self.world, self.crowd, Random(f"{self._seed} {number}"), self.over)  # noqa: S311 - the same

    def _thread(self, act: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        thread.start()
        return thread
