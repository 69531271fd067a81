"""The files of `config/`, read and checked as a whole: every fault of every file in one report."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from leadflow.domain.fields import Choice, CustomField, Kind
from leadflow.domain.lead_status import LeadStatus
from leadflow.domain.lifecycle import Category, Edge, EdgeKind, Group, find_edge_faults
from leadflow.domain.selections import Selection
from leadflow.errors import ConfigurationError, InvalidRequest
from leadflow.rules.parsing import files_mentioned
from leadflow.rules.problems import find_nearest
from leadflow.services.dashboards import Dashboard, read_tiles
from leadflow.services.field_faults import find_field_faults
from leadflow.sources.definitions import Definition, secret_variable, secrets_in, source_of
from leadflow.sources.deliveries import signing_key
from leadflow.sources.model import Source

TEST = ".test"
LIST_SUFFIX = ".txt"
DOCUMENT_SUFFIXES = (".yaml", ".yml", LIST_SUFFIX)

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,60}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Configuration:
    """All of `config/` as values.

    `events` are the declared events, name → label. `rule_documents` maps a file's name below `rules/` to its text.
    """

    categories: tuple[Category, ...]
    lead_statuses: tuple[LeadStatus, ...]
    edges: frozenset[Edge]
    on_reentry: Literal["open", "keep"]
    custom_fields: tuple[CustomField, ...]
    events: Mapping[str, str]
    sources: Mapping[str, Source]
    rule_documents: Mapping[str, str]
    selections: tuple[ShippedSelection, ...] = ()
    dashboards: tuple[Dashboard, ...] = ()


@dataclass(frozen=True)
class ShippedSelection:
    """A selection that a new installation has from the start."""

    meaning: Selection
    description: str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Category(_Strict):
    key: Key
    name: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
    short_name: str | None = None
    group: Group | None = None
    lead_status_enabled: bool = False
    description: str = ""


class _LeadStatus(_Strict):
    key: Key
    name: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
    default: bool = False
    description: str = ""


class _Graph(_Strict):
    moves: dict[str, list[str]]
    exits: dict[str, list[str]] = {}


class _Lifecycle(_Strict):
    categories: Annotated[list[_Category], Field(min_length=1)]
    lead_statuses: Annotated[list[_LeadStatus], Field(min_length=1)]
    graph: _Graph
    on_reentry: Literal["open", "keep"] = "open"


class _CustomField(_Strict):
    name: FieldName
    type: Literal["text", "email", "url", "number", "boolean", "date", "moment", "list", "enumeration"]
    label: str | None = None
    description: str = ""
    choices: dict[str, str] = {}
    writable: bool = True


class _Event(_Strict):
    name: FieldName
    label: str | None = None


class _Fields(_Strict):
    contact: list[_CustomField] = []
    company: list[_CustomField] = []
    form: list[_CustomField] = []
    event: list[_CustomField] = []
    events: list[_Event] = []


class _Selection(_Strict):
    selection: Key
    title: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    description: str = ""
    subject: Literal["company", "contact"]
    where: dict[str, Any]


class _Dashboard(_Strict):
    dashboard: Key
    title: Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
    tiles: list[dict[str, str]]


def read_configuration(folder: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Everything below `folder`; secrets of sources come from LEADFLOW_SOURCE_<NAME>_SECRET.

    Raises: ConfigurationError with all faults of all files.
    """
    faults: list[str] = []
    lifecycle = _read(folder / "lifecycle.yml", _Lifecycle, faults)
    fields = _read(folder / "fields.yaml", _Fields, faults) if (folder / "fields.yaml").exists() else _Fields()
    sources = [_read(path, Definition, faults) for path in sorted((folder / "sources").glob("*.yaml"))]
    if lifecycle is not None:
        faults += _lifecycle_faults(folder, lifecycle)
    if fields is not None:
        faults += find_field_faults(folder / "fields.yaml", _custom_fields(fields), [one.name for one in fields.events])
    selections = [_read(path, _Selection, faults) for path in sorted((folder / "selections").glob("*.yaml"))]
    dashboards = _dashboards(folder, {one.selection for one in selections if one}, faults)
    known = [one for one in sources if one is not None]
    faults += _source_faults(folder, known, lifecycle, environment)
    if fields is not None:
        faults += _event_faults(folder, known, [one.name for one in fields.events])
    if lifecycle is None or fields is None or faults:
        raise ConfigurationError("\n".join(faults))
    return Configuration(
        _categories(lifecycle),
        tuple(_status(rank, one) for rank, one in enumerate(lifecycle.lead_statuses, 1)),
        _edges(lifecycle.graph),
        lifecycle.on_reentry,
        _custom_fields(fields),
        {one.name: one.label or _label_of(one.name) for one in fields.events},
        {one.source: source_of(one, secrets_in(environment, one.source)) for one in known},
        read_rule_documents(folder / "rules"),
        tuple(_selection(one) for one in selections if one is not None),
        dashboards,
    )


def read_rule_documents(folder: Path) -> dict[str, str]:
    """The rule documents below a folder by their relative path, with the files of lists that they name."""
    paths = [path for suffix in ("*.yaml", "*.yml") for path in folder.rglob(suffix)]
    names = (path.relative_to(folder).as_posix() for path in sorted(paths))
    return _with_mentioned(folder, {name: _text_of(folder / name) for name in names})


def read_rule_document(path: Path) -> dict[str, str]:
    """One rule document by its name, with its tests or what they test, and all documents and files that it needs."""
    name = path.stem.removesuffix(TEST)
    beside = (path.with_name(f"{name}{TEST}{path.suffix}"), path.with_name(f"{name}{path.suffix}"))
    return _with_mentioned(path.parent, {one.name: _text_of(one) for one in (path, *beside) if one.is_file()})


def _with_mentioned(folder: Path, documents: dict[str, str]) -> dict[str, str]:
    """The documents with all files in the folder that they mention; what is not there, the check reports."""
    waiting = list(documents)
    while waiting:
        name = waiting.pop()
        for mentioned in () if name.endswith(LIST_SUFFIX) else files_mentioned(name, documents[name]):
            if mentioned not in documents and _may_read(folder, mentioned):
                documents[mentioned] = _text_of(folder / mentioned)
                waiting.append(mentioned)
    return documents


def _may_read(folder: Path, name: str) -> bool:
    """Only what lies in the folder: its files are published, for everybody to read."""
    try:
        path = (folder / name).resolve()
        return path.suffix in DOCUMENT_SUFFIXES and path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


class _UniqueKeysLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: of two `contact:` blocks the first would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' stands twice in one mapping", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read(path: Path, model: type[Model], faults: list[str]) -> Model | None:
    try:
        document: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeysLoader)
        return model.model_validate(document if document is not None else {})
    except FileNotFoundError:
        faults.append(f"{path}: the file is missing")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        faults.append(f"{path}: not readable as YAML: {error}")
    except ValidationError as error:
        for one in error.errors():
            where = ".".join(str(step) for step in one["loc"])
            faults.append(f"{path}: {where or 'the file'}: {one['msg']}")
    return None


def _selection(one: _Selection) -> ShippedSelection:
    """What YAML takes for a day is a text in JSON."""
    where = json.loads(json.dumps(one.where, default=str))
    return ShippedSelection(Selection(0, one.selection, one.title, one.subject, where), one.description)


def _dashboards(folder: Path, selections: Collection[str], faults: list[str]) -> tuple[Dashboard, ...]:
    """The shipped dashboards; a tile that cannot be is a fault of its file."""
    found = []
    for path in sorted((folder / "dashboards").glob("*.yaml")):
        one = _read(path, _Dashboard, faults)
        try:
            if one is not None:
                found.append(Dashboard(one.dashboard, one.title, read_tiles(one.tiles, dict.fromkeys(selections))))
        except InvalidRequest as refusal:
            faults += [f"{path}: {fault.location}: {fault.message}" for fault in refusal.faults]
    return tuple(found)


def _lifecycle_faults(folder: Path, lifecycle: _Lifecycle) -> list[str]:
    path = folder / "lifecycle.yml"
    categories = {one.key: one for one in _categories(lifecycle)}
    faults = [f"{path}: {fault}" for fault in find_edge_faults(categories, _edges(lifecycle.graph))]
    if len(categories) != len(lifecycle.categories):
        faults.append(f"{path}: two categories have one key")
    if len({one.key for one in lifecycle.lead_statuses}) != len(lifecycle.lead_statuses):
        faults.append(f"{path}: two lead statuses have one key")
    if sum(one.default for one in lifecycle.lead_statuses) != 1:
        faults.append(f"{path}: exactly one lead status must have default: true")
    return faults


def _source_faults(
    folder: Path, sources: list[Definition], lifecycle: _Lifecycle | None, environment: Mapping[str, str]
) -> list[str]:
    faults = []
    keys = {one.key for one in lifecycle.categories} if lifecycle else None
    for one in sources:
        place = folder / "sources" / f"{one.source}.yaml"
        if one.new_company_category and keys is not None and one.new_company_category not in keys:
            faults.append(f"{place}: new_company_category: there is no category '{one.new_company_category}'")
        for secret in secrets_in(environment, one.source):
            try:
                signing_key(secret)
            except ValueError:
                faults.append(
                    f"{secret_variable(one.source)}: a secret must be base64, with or without whsec_ before it"
                )
    return faults


def _event_faults(folder: Path, sources: list[Definition], declared: list[str]) -> list[str]:
    """What a source calls an event by a name of its own must be one that is declared."""
    faults = []
    for one in sources:
        for name in one.events.values():
            if name not in declared:
                place = folder / "sources" / f"{one.source}.yaml"
                faults.append(
                    f"{place}: events: '{name}' is not declared under events in fields.yaml{_hint(name, declared)}"
                )
    return faults


def _hint(name: str, known: Iterable[str]) -> str:
    near = find_nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def _categories(lifecycle: _Lifecycle) -> tuple[Category, ...]:
    return tuple(
        Category(one.key, one.name, one.group, rank * 10, one.lead_status_enabled, one.short_name, one.description)
        for rank, one in enumerate(lifecycle.categories, 1)
    )


def _status(rank: int, one: _LeadStatus) -> LeadStatus:
    return LeadStatus(one.key, one.name, rank * 10, one.description, one.default)


def _edges(graph: _Graph) -> frozenset[Edge]:
    kinds = ((EdgeKind.MOVE, graph.moves), (EdgeKind.EXIT, graph.exits))
    return frozenset(
        Edge(None if start == "none" else start, target, kind)
        for kind, steps in kinds
        for start, targets in steps.items()
        for target in targets
    )


def _custom_fields(fields: _Fields) -> tuple[CustomField, ...]:
    records = (
        ("contact", fields.contact),
        ("company", fields.company),
        ("form", fields.form),
        ("event", fields.event),
    )
    return tuple(
        CustomField(
            record,
            one.name,
            Kind(one.type),
            one.label or _label_of(one.name),
            one.description,
            tuple(Choice(key, name) for key, name in one.choices.items()),
            one.writable,
        )
        for record, listed in records
        for one in listed
    )


def _label_of(name: str) -> str:
    return name.replace("_", " ").capitalize()
