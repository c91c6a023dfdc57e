"""A recipe's schedule in numbers of evaluations: which are done at which size, and how much work that is."""

from dataclasses import dataclass

from shared.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """The evaluations `first` to before `beyond`, at one size."""

    index: int
    longest: int  # side of the picture, in pixels
    first: int
    beyond: int

    def work(self, step: int) -> int:
        """Pixels evaluated here up to and with `step`; all stages have the same shape, which is left out."""
        return self.longest**2 * max(0, min(step + 1, self.beyond) - self.first)


@dataclass(frozen=True)
class Plan:
    """All stages of a run, coarse to fine."""

    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> "Plan":
        """The recipe's stages, with one evaluation more at the end for the last picture's losses."""
        stages, first = [], 0
        for index, (longest, evaluations) in enumerate(recipe.schedule()):
            last = index + 1 == len(recipe.stages)
            stages.append(Stage(index, longest, first, first + evaluations + last))
            first += evaluations
        return cls(tuple(stages))

    def fraction(self, step: int) -> float:
        """The share of the run's arithmetic that is done after `step`, in [0, 1]."""
        return sum(stage.work(step) for stage in self.stages) / sum(stage.work(stage.beyond) for stage in self.stages)
