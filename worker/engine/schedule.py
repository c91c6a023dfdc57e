"""A recipe's schedule: which evaluations run at which size, and how much work they are."""

from dataclasses import dataclass
from typing import Self

from shared.patch_iterations import PatchIteration
from shared.recipe import Recipe


@dataclass(frozen=True)
class ScheduledStage:
    """The evaluations from `first` to before `end`, at one size."""

    index: int
    longest_side: int  # of the image, in pixels
    first: int
    end: int

    def work(self, step: int) -> int:
        """Return the pixels evaluated in this stage up to and including `step`.

        The aspect ratio is left out because it is the same in all stages.
        """
        return self.longest_side**2 * max(0, min(step + 1, self.end) - self.first)


@dataclass(frozen=True)
class Schedule:
    """Patch matching, if the recipe starts with it, and all stages of a run, coarse to fine."""

    patch_iterations: tuple[PatchIteration, ...]
    stages: tuple[ScheduledStage, ...]

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Return the recipe's stages. The last of any steps has one more evaluation, for the losses of the result."""
        patch_iterations = recipe.patch_iterations()
        stages, first = [], len(patch_iterations)
        for index, (longest_side, evaluations) in enumerate(recipe.schedule()):
            is_last = index + 1 == len(recipe.stages) and recipe.steps > 0
            stages.append(ScheduledStage(index, longest_side, first, first + evaluations + is_last))
            first += evaluations
        return cls(patch_iterations, tuple(stages))

    def fraction_done(self, step: int) -> float:
        """Return the fraction of the run's arithmetic that is done after `step`, in [0, 1]."""
        return self._work(step) / self._work(self.stages[-1].end)

    def _work(self, step: int) -> float:
        patches = sum(it.pixel_evaluations(it.longest_side**2) for it in self.patch_iterations[: step + 1])
        return patches + sum(stage.work(step) for stage in self.stages)
