"""Schedules: which ticks there are, and that each is started or missed exactly once, whatever comes between."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perennial.api.modeldeployment import ModelDeploymentStatus
from perennial.api.retrainpolicy import TriggerState, TriggerStatus
from perennial.api.trigger import ScheduleTrigger, Trigger
from perennial.retrainpolicy.look import Look, Sight
from perennial.retrainpolicy.schedule import look, parse

BERLIN, LORD_HOWE, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def a_trigger(cron: str = "0 3 * * *", zone: str = "Etc/UTC", deadline: int | None = None) -> Trigger:
    schedule = ScheduleTrigger(cron=cron, time_zone=zone, starting_deadline_seconds=deadline)
    return Trigger(name="nightly", schedule=schedule)


def look_at(trigger: Trigger, before: TriggerStatus | None, begin: datetime, now: datetime) -> Look:
    return look(trigger, Sight(before, (), "team", "churn", ModelDeploymentStatus(), None, begin, now))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "ticks"),
    [
        pytest.param("30 2 * * *", "2026-03-28T12:00", ["03-29T01:00", "03-30T00:30"], id="missing hour: right after"),
        pytest.param("0,30 2,3 * * *", "2026-03-28T12:00", ["03-29T01:00", "03-29T01:30"], id="missing hour: once"),
        pytest.param(
            "30 2 * * *", "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"], id="hour that comes twice: once"
        ),
        pytest.param("15,45 2 * * *", "2026-10-25T01:20", ["10-26T01:15"], id="looked at in the second such hour"),
        pytest.param("30 * * * *", "2026-10-25T00:00", ["10-25T00:30", "10-25T01:30"], id="every hour: both"),
        pytest.param("0 3 * * MON", "2026-11-20T12:00", ["11-23T02:00", "11-30T02:00"], id="weekday by name"),
    ],
)
def test_ticks_of_berlin(cron: str, after: str, ticks: list[str]) -> None:
    found = parse(ScheduleTrigger(cron=cron, time_zone="Europe/Berlin")).after(at(after))
    assert [next(found) for _ in ticks] == [at(f"2026-{tick}") for tick in ticks]


@pytest.mark.parametrize("after", ["10-03T13:35", "10-03T15:29", "10-03T15:30", "10-03T15:45", "10-03T16:30"])
def test_a_change_by_half_an_hour_costs_no_tick(after: str) -> None:
    found = parse(ScheduleTrigger(cron="5 */6 * * *", time_zone="Australia/Lord_Howe")).after(at(f"2026-{after}"))
    assert [next(found) for _ in range(2)] == [at("2026-10-03T19:05"), at("2026-10-04T01:05")]


ZONES = st.sampled_from([BERLIN, LORD_HOWE, APIA, ZoneInfo("America/St_Johns"), ZoneInfo("Etc/UTC")])
# Around the changes of these zones, a day that Samoa left out included.
DAYS = st.sampled_from(
    ["2026-03-28", "2026-10-24", "2026-04-04", "2026-10-03", "2026-03-07", "2026-10-31", "2011-12-29", "2026-11-20"]
)
FIXED = st.builds(
    lambda minutes, hours: (sorted(minutes), sorted(hours)),
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sets(st.integers(0, 23), min_size=1, max_size=4),
)


def fixed_ticks(minutes: list[int], hours: list[int], zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """The ticks at fixed hours, by another way: every wall clock time, moved on where it does not exist."""
    found = set()
    wall = begin.astimezone(zone).replace(tzinfo=None, second=0) - timedelta(days=2)
    while wall <= end.astimezone(zone).replace(tzinfo=None):
        if wall.minute in minutes and wall.hour in hours:
            real = wall
            while real.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != real:
                real += timedelta(minutes=1)
            found.add(real.replace(tzinfo=zone).astimezone(UTC))
        wall += timedelta(minutes=1)
    return sorted(tick for tick in found if begin < tick <= end)


@settings(max_examples=60)
@given(FIXED, ZONES, DAYS, st.integers(0, 1440))
def test_fixed_hours_tick_once_a_day_through_every_change_of_the_clock(
    fields: tuple[list[int], list[int]], zone: ZoneInfo, day: str, minute: int
) -> None:
    minutes, hours = fields
    begin = at(f"{day}T00:00") + timedelta(minutes=minute)
    end = begin + timedelta(days=2)
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    found = []
    for tick in parse(ScheduleTrigger(cron=cron, time_zone=zone.key)).after(begin):
        if tick > end:
            break
        found.append(tick)
    assert found == fixed_ticks(minutes, hours, zone, begin, end)


@settings(max_examples=60)
@given(
    st.sampled_from(["*/20 * * * *", "0 3 * * *", "30 2 * * *", "0,30 1-3 * * *", "5 */6 * * *"]),
    ZONES,
    DAYS,
    st.lists(st.tuples(st.integers(1, 90_000), st.booleans(), st.booleans()), max_size=25),
    st.none() | st.sampled_from([60, 3600]),
)
@example("5 */6 * * *", ZoneInfo("Australia/Lord_Howe"), "2026-04-04", [(77399, False, False)], 60)
def test_every_tick_is_started_once_or_missed_once(
    cron: str, zone: ZoneInfo, day: str, looks: list[tuple[int, bool, bool]], deadline: int | None
) -> None:
    """Looks at any times, starting or holding what is found, some of them forgotten by a crash before the status."""
    trigger = a_trigger(cron, zone.key, deadline)
    begin = now = at(f"{day}T00:00")
    row: TriggerStatus | None = None
    started: list[datetime] = []
    missed: set[datetime] = set()
    several = 0
    for seconds, free, crash in looks:
        now += timedelta(seconds=seconds)
        found = look_at(trigger, row, begin, now)
        if crash:
            continue
        row = found.row
        missed |= {skip.time for skip in found.missed}
        several += sum("ticks from" in skip.message for skip in found.missed)
        if found.cause and found.cause.scheduled_time and free:
            started.append(found.cause.scheduled_time)
            row = found.started
            if deadline:
                assert now - started[-1] <= timedelta(seconds=deadline)
    assert len(started) == len(set(started))
    assert not missed & set(started)
    if row is None or row.next_schedule_time is None:
        return
    ticks = []
    for tick in parse(ScheduleTrigger(cron=cron, time_zone=zone.key)).after(begin):
        if tick >= row.next_schedule_time:
            break
        ticks.append(tick)
    assert set(started) | missed <= set(ticks)
    if not several:
        assert set(started) | missed == set(ticks)


def test_the_first_look_at_a_new_policy_counts_from_its_creation() -> None:
    created = NOON - timedelta(hours=10)
    assert look_at(a_trigger(), None, created, NOON).since == at("2026-11-20T03:00")


def test_an_edit_begins_anew() -> None:
    before = look_at(a_trigger("0 3 * * *"), None, NOON, NOON).row
    found = look_at(a_trigger("0 13 * * *"), before, NOON, NOON + timedelta(days=7))
    assert found.cause is None
    assert found.row.next_schedule_time == at("2026-11-27T13:00")


def test_after_a_long_outage_the_newest_tick_runs_and_the_rest_is_missed_in_two_rows() -> None:
    trigger = a_trigger("* * * * *")
    before = look_at(trigger, None, NOON, NOON).row
    found = look_at(trigger, before, NOON, NOON + timedelta(days=400))
    assert found.since == NOON + timedelta(days=400)
    assert [skip.time for skip in found.missed] == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=101)]
    assert "at least 100 ticks from 2026-11-20T12:02:00Z" in found.missed[1].message


def test_a_tick_that_cannot_start_in_time_is_missed() -> None:
    trigger = a_trigger(deadline=600)
    before = look_at(trigger, None, NOON, NOON).row
    tick = at("2026-11-21T03:00")
    held = look_at(trigger, before, NOON, tick + timedelta(seconds=600))
    assert (held.since, held.row.next_schedule_time) == (tick, tick)
    late = look_at(trigger, held.row, NOON, tick + timedelta(seconds=601))
    assert late.cause is None
    assert [(skip.time, skip.reason) for skip in late.missed] == [(tick, "Missed")]
    assert late.row.next_schedule_time == tick + timedelta(days=1)


def test_a_clock_that_goes_back_starts_nothing_again() -> None:
    before = look_at(a_trigger(), None, NOON, NOON).row
    done = look_at(a_trigger(), before, NOON, NOON + timedelta(days=1)).started
    assert look_at(a_trigger(), done, NOON, NOON).cause is None


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("0 25 * * *", "Etc/UTC", "schedule.cron: '0 25 * * *': bad hour"),
        ("0 0 31 2 *", "Etc/UTC", "schedule.cron: '0 0 31 2 *': bad day-of-month"),
        ("0 0 3 * * *", "Etc/UTC", "must have five fields"),
        ("0 3 * * *", "Europe/Berlim", "schedule.timeZone: 'Europe/Berlim' is no time zone"),
        ("0 3 * * *", "../etc/passwd", "schedule.timeZone"),
        ("0 3 * * *", "Europe", "schedule.timeZone"),
        ("0 3 * * *", "a\0b", "schedule.timeZone"),
    ],
)
def test_what_cannot_be_read_is_said(cron: str, zone: str, words: str) -> None:
    schedule = ScheduleTrigger.model_construct(cron=cron, time_zone=zone, starting_deadline_seconds=None)
    found = look_at(Trigger(name="nightly", schedule=schedule), None, NOON, NOON)
    assert found.row.state is TriggerState.INVALID
    assert words in found.row.message
