"""What the KPIs of a tenant's moments are made of: measured in the background, one at a time, the last asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock, Thread

from gridlens_core.demo.session import Session
from gridlens_core.errors import GridLensError
from gridlens_core.explanation.kpis import ReadKpis
from gridlens_core.explanation.moment import NOT_YET, Moment, read_pulse
from gridlens_core.explanation.trace import Observation, Trace
from gridlens_core.explanation.why import Measured
from gridlens_core.explanation.without import Subject, measure

BEFORE_US = "the path without the events was not rehearsed before they began"

log = logging.getLogger(__name__)

Improve = Callable[[Callable[[Moment], Moment]], None]  # puts a moment that says more in the place of the known one


@dataclass
class _Task:
    """A moment to be measured; when it is done, the same with what was found."""

    moment: Moment
    read: ReadKpis
    done: Flag = field(default_factory=Flag)

    def in_place_of(self, known: Moment) -> Moment:
        """This one, if the known moment is the same."""
        return self.moment if known.pulse == self.moment.pulse else known


class Measurer:
    """Measures the moments of one tenant. Safe to share between threads.

    trace : what was measured before is taken from there, and what is measured is kept there
    improve : is told what was found when that comes after the moment was shown
    """

    def __init__(self, session: Session, trace: Trace, improve: Improve) -> None:
        self._session = session
        self._trace = trace
        self._improve = improve
        self._lock = Lock()
        self._task: _Task | None = None
        self._last: Measured | None = None

    def measured(self, moment: Moment, read: ReadKpis, patience_s: float) -> Moment:
        """The moment with what its KPIs are made of, or with the reason why that is not known, or not known yet."""
        if not moment.todays:
            return moment
        seen = self._trace.at(moment.grid_now)
        if seen is not None and seen.measured is not None and _is_of(seen.measured, moment):
            return moment.with_measured(seen.measured)
        if not moment.site.may_put_right:
            return moment.with_measured(None, BEFORE_US)
        task = _Task(moment, read)
        with self._lock:
            busy, self._task = self._task, task
        if busy is None:
            Thread(target=self._work, name="measure", daemon=True).start()
            task.done.wait(patience_s)
        return task.moment if task.done.is_set() else moment.with_measured(None, NOT_YET)

    def _work(self) -> None:
        """Measures what was asked for last, until nothing newer is asked for."""
        while True:
            with self._lock:
                task = self._task
            if task is None:
                return
            task.moment = self._found(task)
            task.done.set()
            self._improve(task.in_place_of)
            with self._lock:
                if self._task is task:
                    self._task = None

    def _found(self, task: _Task) -> Moment:
        moment = task.moment
        try:
            measured = self._with_and_without(moment, task.read)
        except GridLensError as error:
            return moment.with_measured(None, error.message)
        except Exception:
            log.exception("The effect of the events could not be measured.")
            return moment.with_measured(None, "the effect could not be measured; the server's log has the cause")
        if measured is None:
            return moment.with_measured(None, NOT_YET)  # a newer moment is under way, and will be measured
        self._trace.observe(Observation(moment.grid_now, moment.kpis, measured))
        return moment.with_measured(measured)

    def _with_and_without(self, moment: Moment, read: ReadKpis) -> Measured | None:
        """What was measured; None where the database is at another moment by now."""
        with self._session.transaction(one_moment=True) as connection:
            pulse, events = read_pulse(
                connection, moment.schema, moment.tenant_id, self._session.wall(moment.tenant_id)
            )
            if pulse != moment.pulse:
                return None
            subject = Subject(moment.schema, moment.fleet, moment.kpis, moment.grid_now, read)
            self._last = measure(connection, subject, events, self._last)
        return self._last or Measured(moment.grid_now, moment.grid_now, moment.kpis, (), (moment.kpis,))


def _is_of(measured: Measured, moment: Moment) -> bool:
    """Whether it was measured with the events as they are now."""
    todays = {str(event.id) for event in moment.todays}
    return todays <= set(measured.event_ids) and measured.now == moment.kpis
