"""Looks at a schedule trigger: ticks of a cron expression in a time zone, each started or missed exactly once.

The earliest tick that was not dealt with is in the status; it moves on in the same write that records the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from perennial.api.base import format_time
from perennial.api.retrainpolicy import Cause, Skip, TriggerState, TriggerStatus
from perennial.api.trigger import Cron, ScheduleTrigger, Trigger
from perennial.retrainpolicy.look import Look, Sight

# How far back the newest tick is looked for: each step is a handful of ticks for the schedules that need it.
_BACK = [timedelta(hours=hours) for hours in (1, 6, 24, 72, 200, 800, 9000)]
_COUNTED = 100
_NONE, _MINUTE, _HOUR = timedelta(0), timedelta(minutes=1), timedelta(hours=1)
# From 2 ** 26 minutes down to one: they add up to any span between two ticks.
_HALVES = [timedelta(minutes=2**power) for power in range(26, -1, -1)]
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of a schedule, in UTC. At a change to summer time a tick in the missing hour comes right after it; at
    the end of summer time a tick at a fixed hour comes once."""

    expression: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after a moment, strictly growing. cronsim may name a tick of the hour that comes twice again."""
        last = moment
        for tick in self._from(moment):
            if tick > last:
                yield from self._passed_over(last, tick)
                yield tick
                last = tick

    def _from(self, moment: datetime) -> Iterator[datetime]:
        return (tick.astimezone(UTC) for tick in CronSim(self.expression, moment.astimezone(self.zone)))

    def _passed_over(self, last: datetime, tick: datetime) -> Iterator[datetime]:
        """What cronsim leaves out between two ticks where the clocks change by less than an hour, or just did."""
        change = last - _HOUR
        before, after = change.astimezone(self.zone).utcoffset(), tick.astimezone(self.zone).utcoffset()
        if before is None or after is None or not _NONE < abs(after - before) < _HOUR:
            return
        for step in _HALVES:
            if change + step < tick and (change + step).astimezone(self.zone).utcoffset() == before:
                change += step
        # From where the clocks show a whole hour that they did not show before, it is right again.
        for found in self._from(change + _MINUTE + abs(after - before)):
            if found >= tick:
                return
            if found > last:
                yield found

    def next(self, moment: datetime) -> datetime | None:
        """The first tick after a moment; None when there is none in fifty years."""
        return next(self.after(moment), None)

    def newest(self, first: datetime, now: datetime) -> datetime:
        """The newest tick from `first`, which is one, until now."""
        for back in _BACK:
            begin = max(first, now - back)
            newest = begin if begin == first else None
            for tick in self.after(begin):
                if tick > now:
                    break
                newest = tick
            if newest:
                return newest
        return first

    def between(self, first: datetime, last: datetime) -> list[datetime]:
        """The ticks after `first` and before `last`, at most a hundred."""
        found: list[datetime] = []
        for tick in self.after(first):
            if tick >= last or len(found) == _COUNTED:
                break
            found.append(tick)
        return found


def parse(schedule: Cron) -> Ticks:
    """The ticks of a schedule. ValueError names the field of it and says what is wrong."""
    try:
        zone = ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"timeZone: {schedule.time_zone!r} is no time zone; give an IANA name such as Europe/Berlin"
        ) from None
    if len(schedule.cron.split()) != 5:
        raise ValueError(f"cron: {schedule.cron!r} must have five fields: minute hour day month weekday")
    try:
        CronSim(schedule.cron, _ANY_TIME)
    except CronSimError as error:
        raise ValueError(
            f"cron: {schedule.cron!r}: {str(error).lower()}; the fields are minute hour day month weekday"
        ) from None
    return Ticks(schedule.cron, zone)


def look(trigger: Trigger, sight: Sight) -> Look:
    """One look at a schedule trigger."""
    schedule, before, now = trigger.schedule, sight.before, sight.now
    assert schedule
    rule = f"{schedule.cron} {schedule.time_zone}"
    row = TriggerStatus(name=trigger.name, state=TriggerState.SCHEDULED, rule=rule)
    try:
        ticks = parse(schedule)
    except ValueError as error:
        return Look(row.model_copy(update={"state": TriggerState.INVALID, "message": f"schedule.{error}"}))
    if before and before.rule == rule and before.next_schedule_time:
        row = row.model_copy(update={"last_schedule_time": before.last_schedule_time})
        first: datetime | None = before.next_schedule_time
    else:
        first = ticks.next(now if before else sight.begin)
    if first is None:
        return Look(row.model_copy(update={"message": "never comes"}))
    if first > now:
        return Look(row.model_copy(update={"next_schedule_time": first}), wakes=(first,))

    newest = ticks.newest(first, now)
    upcoming = ticks.next(newest)
    missed = _missed(trigger.name, ticks, first, newest)
    done = row.model_copy(update={"last_schedule_time": newest, "next_schedule_time": upcoming})
    wakes = [upcoming] if upcoming else []
    deadline = _deadline(schedule, newest)
    if deadline and now > deadline:
        words = f"the tick of {format_time(newest)} could not be started within {schedule.starting_deadline_seconds} s"
        given_up = Skip(time=newest, trigger=trigger.name, reason="Missed", message=words)
        return Look(done, missed=(*missed, given_up), wakes=tuple(wakes))
    held = row.model_copy(update={"next_schedule_time": newest})
    if missed:
        held = held.model_copy(update={"last_schedule_time": missed[-1].time})
    if deadline:
        wakes.append(deadline + timedelta(seconds=1))
    cause = Cause(
        trigger=trigger.name, type="Schedule", message=f"scheduled for {format_time(newest)}", scheduled_time=newest
    )
    return Look(held, cause, newest, started=done, missed=missed, wakes=tuple(wakes))


def upcoming(trigger: Trigger, now: datetime) -> datetime | None:
    """The next tick of a schedule that can be read."""
    try:
        return parse(trigger.schedule).next(now) if trigger.schedule else None
    except ValueError:
        return None


def _deadline(schedule: ScheduleTrigger, tick: datetime) -> datetime | None:
    allowed = schedule.starting_deadline_seconds
    return tick + timedelta(seconds=allowed) if allowed is not None else None


def _missed(trigger: str, ticks: Ticks, first: datetime, newest: datetime) -> tuple[Skip, ...]:
    """The ticks before the newest, in at most two rows: the first may have one already, of when it was held."""
    if first == newest:
        return ()
    words = f"the tick of {format_time(first)} was not started before the next"
    rows = [Skip(time=first, trigger=trigger, reason="Missed", message=words)]
    if between := ticks.between(first, newest):
        many = "at least 100" if len(between) == _COUNTED else str(len(between))
        words = f"{many} ticks from {format_time(between[0])} were not started before {format_time(newest)}"
        rows.append(Skip(time=between[-1], trigger=trigger, reason="Missed", message=words))
    return tuple(rows)
