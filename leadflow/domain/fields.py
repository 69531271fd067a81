"""The catalogue: every field that rules, searches and the API may name, with its kind and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Category, Lifecycle
from leadflow.domain.selections import Selection
from leadflow.domain.text import clean_text, fault_of_text, fold


class Kind(StrEnum):
    """The type of a field; it decides which operators apply and how a scalar is read."""

    TEXT = "text"
    EMAIL = "email"
    URL = "url"
    ENUMERATION = "enumeration"
    CATEGORY = "category"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    LIST = "list"


# A value as it is kept in memory: text, exact number, truth, moment, day, list of texts; None is blank.
Value = str | Decimal | bool | datetime | date | tuple[str, ...] | None

# The records that keep fields of their own; an installation may declare fields for forms and events too.
STORED_RECORDS = ("company", "contact")

MAX_NUMBER_DIGITS = 60
MAX_TEXT_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an enumeration: the stored key, the name shown, and other spellings that mean it."""

    key: str
    name: str
    spellings: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `path` is how rules name it: `company.category`, `form.email`, `contact.fields.budget`.

    `retired` are choices that were deleted from the list; records may still carry them.
    """

    path: str
    kind: Kind
    label: str
    description: str = ""
    choices: tuple[Choice, ...] = ()
    is_writable: bool = False
    retired: tuple[Choice, ...] = ()

    @property
    def root(self) -> str:
        """`company`, `contact`, `form`, `sale`: the record that holds the field."""
        return self.path.partition(".")[0]

    def choice(self, text: str) -> Choice | None:
        """The choice meant by a key, name or other spelling, in any case; None if there is none."""
        wanted = fold(text.strip())
        named = (one for one in self.choices if wanted in (fold(one.key), fold(one.name)))
        spelt = (one for one in self.choices if wanted in map(fold, one.spellings))
        return next(named, None) or next(spelt, None)


class UnreadableValue(ValueError):
    """A raw value that cannot be read as its field's kind; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands where a value could not be read: a clause that asks for it is an error, never "no match"."""

    reason: str


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field that the installation added in `config/fields.yaml`."""

    record: str
    name: str
    kind: Kind
    label: str
    description: str = ""
    choices: tuple[Choice, ...] = ()
    is_writable: bool = True

    @property
    def path(self) -> str:
        """Fields of forms and events stand directly below `form.` and `event.`, the others below `RECORD.fields.`."""
        return f"{self.record}.fields.{self.name}" if self.record in STORED_RECORDS else f"{self.record}.{self.name}"


@dataclass(frozen=True)
class Catalogue:
    """Every known field by path, in the order in which people read them, and the names that rules may use.

    `events` are the declared events, name → what people read. `endpoints` are the names that `webhook` may send to
    and `channels` those that `notify` may; None where nobody knows them (a check without the installation).
    `selections` are by slug.
    """

    fields: Mapping[str, Field]
    events: Mapping[str, str] = field(default_factory=dict)
    endpoints: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    selections: Mapping[str, Selection] = field(default_factory=dict)
    roots: frozenset[str] = field(init=False)
    _of: dict[tuple[str, ...], tuple[Field, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", frozenset(one.root for one in self.fields.values()))

    def get(self, path: str) -> Field | None:
        return self.fields.get(path)

    def of(self, *roots: str) -> tuple[Field, ...]:
        """The fields of these records."""
        if roots not in self._of:
            self._of[roots] = tuple(one for one in self.fields.values() if one.root in roots)
        return self._of[roots]

    def custom(self, record: str) -> dict[str, Field]:
        """The installation's own fields of `company` or `contact`, by their name."""
        prefix = f"{record}.fields."
        return {p.removeprefix(prefix): one for p, one in self.fields.items() if p.startswith(prefix)}


def build_catalogue(
    lifecycle: Lifecycle,
    statuses: LeadStatuses,
    custom: Iterable[CustomField] = (),
    events: Mapping[str, str] | None = None,
    endpoints: frozenset[str] | None = None,
    channels: frozenset[str] | None = None,
    selections: Iterable[Selection] = (),
) -> Catalogue:
    """The catalogue of this installation: built-in fields, its lists, its own fields, events and selections."""
    categories = _category_choices(lifecycle, deleted=False), _category_choices(lifecycle, deleted=True)
    lead_statuses = _status_choices(statuses, deleted=False), _status_choices(statuses, deleted=True)
    fields = [*_company_fields(*categories), *_contact_fields(*lead_statuses), *_form_fields(), *_sale_fields()]
    fields += [*_event_fields(), *_user_fields()]
    fields += [
        Field(
            one.path,
            one.kind,
            one.label,
            one.description,
            one.choices,
            one.is_writable and one.record in STORED_RECORDS,
        )
        for one in custom
    ]
    by_slug = {one.slug: one for one in selections}
    return Catalogue({one.path: one for one in fields}, events or {}, endpoints, channels, by_slug)


def _category_choices(lifecycle: Lifecycle, *, deleted: bool) -> tuple[Choice, ...]:
    return tuple(
        Choice(c.key, c.name, _spellings_of(c), c.group.value if c.group else None)
        for c in sorted(lifecycle.categories.values(), key=lambda c: c.rank)
        if c.deleted is deleted
    )


def _spellings_of(category: Category) -> tuple[str, ...]:
    return (*((category.short_name,) if category.short_name else ()), *category.former_names)


def _status_choices(statuses: LeadStatuses, *, deleted: bool) -> tuple[Choice, ...]:
    ranked = sorted(statuses.by_key.values(), key=lambda s: s.rank)
    return tuple(Choice(s.key, s.name, s.former_names) for s in ranked if s.deleted is deleted)


def _company_fields(categories: tuple[Choice, ...], retired: tuple[Choice, ...]) -> list[Field]:
    return [
        Field("company.category", Kind.CATEGORY, "Category", choices=categories, retired=retired),
        Field("company.name", Kind.TEXT, "Company name"),
        Field("company.domain", Kind.TEXT, "Company domain", "registrable domain of its e-mail addresses"),
        Field("company.owner", Kind.TEXT, "Company owner", is_writable=True),
        Field("company.tags", Kind.LIST, "Company tags"),
        Field("company.do_not_automate", Kind.BOOLEAN, "Company: do not automate"),
        Field("company.open_sales", Kind.NUMBER, "Open sales", "sales of the company with status open"),
        Field("company.created_at", Kind.MOMENT, "Company created"),
        Field("company.updated_at", Kind.MOMENT, "Company changed"),
        *_first_touch_fields("company"),
    ]


def _contact_fields(lead_statuses: tuple[Choice, ...], retired: tuple[Choice, ...]) -> list[Field]:
    return [
        Field("contact.lead_status", Kind.ENUMERATION, "Lead status", choices=lead_statuses, retired=retired),
        Field("contact.email", Kind.EMAIL, "E-mail"),
        Field("contact.first_name", Kind.TEXT, "First name"),
        Field("contact.last_name", Kind.TEXT, "Last name"),
        Field("contact.tags", Kind.LIST, "Contact tags"),
        Field("contact.do_not_automate", Kind.BOOLEAN, "Contact: do not automate"),
        Field("contact.created_at", Kind.MOMENT, "Contact created"),
        Field("contact.updated_at", Kind.MOMENT, "Contact changed"),
        Field("contact.last_touched_at", Kind.MOMENT, "Last touched", "when the contact last sent a form"),
        *_first_touch_fields("contact"),
    ]


def _first_touch_fields(record: str) -> list[Field]:
    names = ("source", "medium", "campaign", "term", "content", "referrer")
    fields = [Field(f"{record}.first_touch.{name}", Kind.TEXT, f"First touch {name}") for name in names]
    return [*fields, Field(f"{record}.first_touch.at", Kind.MOMENT, "First touch at")]


FORM_TEXTS = {
    "form": "Form",
    "form_type": "Form type",
    "first_name": "First name",
    "last_name": "Last name",
    "company": "Company name as entered",
    "phone": "Phone",
    "job_title": "Job title",
    "country": "Country",
    "message": "Message",
    "utm_source": "UTM source",
    "utm_medium": "UTM medium",
    "utm_campaign": "UTM campaign",
    "utm_term": "UTM term",
    "utm_content": "UTM content",
}


def _form_fields() -> list[Field]:
    return [
        Field("form.email", Kind.EMAIL, "E-mail as entered"),
        *(Field(f"form.{name}", Kind.TEXT, label) for name, label in FORM_TEXTS.items()),
        Field("form.referrer", Kind.URL, "Referrer"),
        Field("form.page_url", Kind.URL, "Page of the form"),
        Field("form.consent", Kind.BOOLEAN, "Consent"),
        Field("form.submitted_at", Kind.MOMENT, "Submitted at"),
    ]


def _event_fields() -> list[Field]:
    return [
        Field("event.name", Kind.TEXT, "Event"),
        Field("event.email", Kind.EMAIL, "E-mail of the event"),
        Field("event.at", Kind.MOMENT, "When it happened"),
    ]


def _user_fields() -> list[Field]:
    return [
        Field("user.name", Kind.TEXT, "Who started the rule"),
        Field("user.email", Kind.EMAIL, "E-mail of who started the rule"),
        Field("user.role", Kind.TEXT, "Role of who started the rule"),
    ]


SALE_STATUSES = ("open", "sold", "lost", "stalled")


def _sale_fields() -> list[Field]:
    choices = tuple(Choice(key, key.capitalize()) for key in SALE_STATUSES)
    return [
        Field("sale.status", Kind.ENUMERATION, "Sale status", choices=choices),
        Field("sale.title", Kind.TEXT, "Sale title"),
        Field("sale.amount", Kind.NUMBER, "Sale amount"),
    ]


def read_value(one: Field, raw: object, zone: tzinfo = UTC) -> Value:
    """`raw` (from JSON, a form or YAML) as a value of the field; blank text and empty lists are None.

    Raises: UnreadableValue with what is expected.
    """
    if raw is None or raw == [] or (isinstance(raw, str) and not raw.strip()):
        return None
    match one.kind:
        case Kind.TEXT | Kind.URL:
            return read_text(raw)
        case Kind.EMAIL:
            text = read_text(raw)
            return fold(text) if text else None
        case Kind.ENUMERATION | Kind.CATEGORY:
            return _read_choice(one, raw)
        case Kind.NUMBER:
            return read_number(raw)
        case Kind.BOOLEAN:
            return read_boolean(raw)
        case Kind.DATE:
            return read_date(raw)
        case Kind.MOMENT:
            return read_moment(raw, zone)
        case Kind.LIST:
            return read_list(raw)


def read_text(raw: object) -> str | None:
    """Text as stored. Raises: UnreadableValue for an object or list, NUL, surrogates or more than 10,000 characters."""
    if isinstance(raw, dict | list | tuple):
        raise UnreadableValue("expected text, not a list or an object")
    text = ("true" if raw else "false") if isinstance(raw, bool) else str(raw)
    if fault := fault_of_text(text):
        raise UnreadableValue(f"the text {fault}")
    cleaned = clean_text(text)
    if cleaned and len(cleaned) > MAX_TEXT_LENGTH:
        raise UnreadableValue(f"the text is longer than {MAX_TEXT_LENGTH:,} characters")
    return cleaned


def _read_choice(one: Field, raw: object) -> str | None:
    text = read_text(raw)
    if text is None:
        return None
    choice = one.choice(text)
    if choice is None:
        names = ", ".join(c.name for c in one.choices)
        raise UnreadableValue(f"'{text}' is not a value of {one.path}; allowed: {names}")
    return choice.key


def read_number(raw: object) -> Decimal:
    """An exact decimal; NaN, infinities and numbers of more than 60 digits are refused."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal):
        raise UnreadableValue("expected a number")
    if isinstance(raw, int) and raw.bit_length() > MAX_NUMBER_DIGITS * 4:
        raise UnreadableValue(f"the number has more than {MAX_NUMBER_DIGITS} digits")
    try:
        number = Decimal(str(raw).strip())
    except InvalidOperation:
        raise UnreadableValue(f"expected a number, not '{str(raw)[:40]}'") from None
    if not number.is_finite():
        raise UnreadableValue("expected a finite number")
    if len(number.as_tuple().digits) > MAX_NUMBER_DIGITS or abs(number.adjusted()) > MAX_NUMBER_DIGITS:
        raise UnreadableValue(f"the number has more than {MAX_NUMBER_DIGITS} digits")
    return number


TRUE_WORDS = frozenset({"true", "yes", "on", "1", "y"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", "n"})


def read_boolean(raw: object) -> bool:
    """True or false, or one of the words that forms send for them (yes, on, 1 / no, off, 0)."""
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().casefold()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise UnreadableValue(f"expected true or false, not '{str(raw)[:40]}'")


def read_date(raw: object) -> date:
    """A calendar day, written YYYY-MM-DD."""
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    try:
        return date.fromisoformat(str(raw).strip())
    except ValueError:
        raise UnreadableValue(f"expected a date such as 2026-03-01, not '{str(raw)[:40]}'") from None


def read_moment(raw: object, zone: tzinfo) -> datetime:
    """A moment in UTC, from RFC 3339; without an offset it is meant in `zone`, a plain date is its first instant."""
    try:
        text = str(raw).strip()
        moment = (
            datetime.combine(date.fromisoformat(text), time.min) if len(text) == 10 else datetime.fromisoformat(text)
        )
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableValue(f"expected a time such as 2026-03-01T12:00:00Z, not '{str(raw)[:40]}'") from None


def read_list(raw: object) -> tuple[str, ...] | None:
    """Texts without repetition, in their order; a single text is a list of one."""
    items = raw if isinstance(raw, list | tuple) else [raw]
    texts = [text for item in items if (text := read_text(item))]
    unique = {fold(text): text for text in reversed(texts)}
    return tuple(reversed(unique.values())) or None
