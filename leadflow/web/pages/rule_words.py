"""A rule in words: its schedule, its condition as nested lines, what it does one after the other, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from leadflow.domain.effects import (
    AddTag,
    AssignOwner,
    CallWebhook,
    CreateTask,
    Notify,
    RemoveTag,
    SetCategory,
    SetField,
    SetLeadStatus,
    Step,
    StopHere,
    Wait,
)
from leadflow.rules.conditions import All, AnyOf, Clause, Condition, MemberClause, Named, NoneOf, NowClause, PastClause
from leadflow.rules.model import IfRunning, Limit, PlannedStep, Rule, Schedule
from leadflow.rules.values import BEFORE
from leadflow.store.lists import Lists
from leadflow.web.pages import wording

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

IF_RUNNING = {
    IfRunning.SKIP: "is left out",
    IfRunning.RESTART: "begins the wait anew",
    IfRunning.QUEUE: "follows when the first is done",
    IfRunning.PARALLEL: "runs beside it",
}

# What an action does whose text has fields in it, so that it is another one each time.
FROM_TEXT = {
    "add_tag": "Add a tag made from a text",
    "remove_tag": "Remove a tag made from a text",
    "create_task": "Create a task with a title made from a text",
    "notify": "Notify with a text made from fields",
    "webhook": "Call a webhook with texts made from fields",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A line of a condition, with the lines below it."""

    text: str
    parts: tuple[Part, ...] = ()


# -- if ----------------------------------------------------------------------------------------------------------------


def condition_parts(condition: Condition | None, lists: Lists) -> tuple[Part, ...]:
    """The condition as lines, all of which must hold."""
    if condition is None:
        return ()
    if isinstance(condition, All):
        return tuple(_part(one, lists) for one in condition.parts)
    return (_part(condition, lists),)


def _part(condition: Condition, lists: Lists) -> Part:
    match condition:
        case All(parts):
            return Part("All of these:", _parts(parts, lists))
        case AnyOf(parts):
            return Part("At least one of these:", _parts(parts, lists))
        case NoneOf(parts):
            return Part("None of these:", _parts(parts, lists))
        case Named(condition=MemberClause(record=record, title=title)) | MemberClause(record=record, title=title):
            return Part(f"The {record} is in the selection “{title}”")
        case Named(kind=kind, name=name, condition=inner):
            return Part(f"The {kind} “{name}”:", condition_parts(inner, lists))
        case Clause(path=path, words=words):
            return Part(f"{_label(path, lists)} {words}")
        case PastClause():
            return Part(f"{condition.title} {condition.words}")
        case NowClause(words=words):
            return Part(f"The time {words}")


def _parts(conditions: tuple[Condition, ...], lists: Lists) -> tuple[Part, ...]:
    return tuple(_part(one, lists) for one in conditions)


def _label(path: str, lists: Lists) -> str:
    label = wording.field_label(lists, path.removeprefix(BEFORE))
    return f"{label} before the change" if path.startswith(BEFORE) else label


# -- then --------------------------------------------------------------------------------------------------------------


def step_lines(rule: Rule, lists: Lists) -> list[str]:
    """What the rule does, one after the other."""
    return [_planned(one, lists) for one in rule.actions]


def _planned(one: PlannedStep, lists: Lists) -> str:
    if one.step is not None:
        return _step(one.step, lists)
    action = one.action.partition(":")[2]
    if action == "set_field" and one.writes:
        return f"Set {_label(one.writes, lists)} to a text made from fields"
    return FROM_TEXT.get(action, action.replace("_", " ").capitalize())


def _step(step: Step, lists: Lists) -> str:
    match step:
        case SetCategory(target=target, sources=sources):
            return _move("Category", "company.category", target, sources, lists)
        case SetLeadStatus(target=target, sources=sources, of=of):
            whose = " of all contacts" if of == "all_contacts" else ""
            return _move(f"Lead status{whose}", "contact.lead_status", target, sources, lists)
        case SetField(path=path, value=value):
            return f"Set {_label(path, lists)} to {wording.value_words(lists, path, value)}"
        case AddTag(record=record, tag=tag):
            return f"Add the tag “{tag}” to the {record}"
        case RemoveTag(record=record, tag=tag):
            return f"Remove the tag “{tag}” from the {record}"
        case CreateTask():
            return _task(step)
        case Notify(to=to):
            return f"Notify {to}"
        case CallWebhook(endpoint=endpoint):
            return f"Call the webhook {endpoint}"
        case _:
            return _steering(step)


def _steering(step: Step) -> str:
    match step:
        case AssignOwner(candidates=(owner,)):
            return f"Assign the company to {owner}"
        case AssignOwner(candidates=candidates):
            return f"Assign the company in turn to {', '.join(candidates)}"
        case Wait(length=length, recheck=recheck):
            again = ", then go on if the condition still holds" if recheck else ", then go on in any case"
            return f"Wait {span_words(length)}{again}"
        case StopHere():
            return "Let no later rule act on this"
        case _:
            raise ValueError(f"nobody has words for {step}")


def _move(what: str, path: str, target: str, sources: frozenset[str | None] | None, lists: Lists) -> str:
    names = sorted(wording.value_words(lists, path, one) for one in sources or ())
    start = f" from {' or '.join(names)}" if sources is not None else ""
    return f"Set {what}{start} to {wording.value_words(lists, path, target)}"


def _task(step: CreateTask) -> str:
    owner = f" for {step.owner}" if step.owner else ""
    due = f", due in {span_words(step.due_in)}" if step.due_in else ""
    return f"Create the task “{step.title}”{owner}{due}"


# -- when and how often ------------------------------------------------------------------------------------------------


def schedule_words(schedule: Schedule) -> str:
    """`every Monday and Thursday at 07:00 (Europe/Oslo), for each contact`."""
    return f"{_period(schedule)} ({schedule.zone}), for each {schedule.for_each}"


def _period(schedule: Schedule) -> str:
    clock = f"{schedule.at:%H:%M}"
    match schedule.every:
        case "hour":
            days = f" on {_listed([WEEKDAYS[day] for day in schedule.on])}" if schedule.on else ""
            return f"every hour at minute {schedule.at.minute}{days}"
        case "month":
            days = _listed([str(day) for day in schedule.on or (1,)])
            return f"every month on day {days} at {clock}"
        case _:
            days = _listed([WEEKDAYS[day] for day in schedule.on]) if schedule.on else "day"
            return f"every {days} at {clock}"


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def limit_words(limit: Limit | None) -> str | None:
    """`once per company within 7 days`."""
    if limit is None:
        return None
    return f"once per {limit.once_per}" + (f" within {span_words(limit.within)}" if limit.within else ", ever")


def running_words(rule: Rule) -> str | None:
    """What a second start does while the rule waits; None for a rule that does not wait."""
    return f"a second start {IF_RUNNING[rule.if_running]}" if rule.waits else None


def listening_words(rule: Rule) -> str | None:
    """What the rule listens to beside what people do."""
    also = [
        name
        for name, is_so in (("changes made by other rules", rule.also_from_rules), ("imports", rule.include_import))
        if is_so
    ]
    return " and ".join(also) or None


def span_words(span: timedelta) -> str:
    """`7 days`, in the largest unit that fits."""
    for name, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if span >= size and not span % size:
            count = span // size
            return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
    return str(span)
