"""Looks at single jobs for all threads of this process; status polls are the most frequent request of all."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.errors import LedgerUnavailable
from shared.ledger.job_snapshot import JobSnapshot, JobSnapshots


@dataclass(eq=False, slots=True)
class _Question:
    """Of one thread; `sight` or `error` is there when it is answered, and both where nothing could be made of it."""

    job_id: str
    sight: JobSnapshot | None = None
    made: str = ""
    error: Exception | None = None


class Lookout:
    """Whoever asks while Redis is being asked waits, and is answered with all others that wait, by the next question.

    One question costs little more for ten jobs than for one, and what is made of the answers (`make`) is made ten
    times in a row by one thread, which is cheaper than once by each of ten threads that take turns.
    """

    def __init__(self, snapshots: JobSnapshots, make: Callable[[JobSnapshot], str]) -> None:
        self._sights, self._make = snapshots, make
        self._open: deque[_Question] = deque()
        self._asking = threading.Lock()

    def look(self, job_id: str, confirm: Callable[[str | None], None]) -> tuple[JobSnapshot, str]:
        """The job as it stands after this call began, and what was made of it.

        `confirm` is handed the ledger's id before anything is believed. Raises what it raises, LedgerUnavailable, and
        what `make` raised.
        """
        question = _Question(job_id)
        self._open.append(question)
        with self._asking:
            if question.sight is None and question.error is None:
                self._ask()
        if question.sight:
            confirm(question.sight.ledger)
        if question.error or not question.sight:
            raise question.error or RuntimeError("A question was lost.")
        return question.sight, question.made

    def _ask(self) -> None:
        """Once for all that wait by now."""
        questions = self._waiting()
        try:
            snapshots = self._sights.of([question.job_id for question in questions])
        except LedgerUnavailable as error:  # whoever came meanwhile would wait as long again, and be told the same
            self._fail([*questions, *self._waiting()], error)
        except Exception as error:  # noqa: BLE001 - each thread raises it for itself
            self._fail(questions, error)
        else:
            for question, sight in zip(questions, snapshots, strict=True):
                self._answer(question, sight)
                if isinstance(question.error, LedgerUnavailable):  # what is made of the others would wait for it, too
                    return self._fail([one for one in questions if one.sight is None], question.error)

    def _waiting(self) -> list[_Question]:
        return [self._open.popleft() for _ in range(len(self._open))]

    def _fail(self, questions: Iterable[_Question], error: Exception) -> None:
        for question in questions:
            question.error = error

    def _answer(self, question: _Question, sight: JobSnapshot) -> None:
        question.sight = sight
        try:
            question.made = self._make(sight)
        except Exception as error:  # noqa: BLE001 - the same
            question.error = error
