"""What makes an empty database an installation: lists, lifecycle graph, custom fields, the shipped rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql

from leadflow.domain.events import SYSTEM
from leadflow.domain.fields import Catalogue, build_catalogue
from leadflow.domain.lead_status import LeadStatuses
from leadflow.domain.lifecycle import Lifecycle
from leadflow.errors import ConfigurationError, InvalidRequest
from leadflow.rules.linting import Setting
from leadflow.rules.parsing.selections import read_selection
from leadflow.rules.problems import render_text
from leadflow.services.configuration import Configuration, ShippedSelection
from leadflow.services.dashboards import seed_dashboards
from leadflow.services.rule_sets import RulesHaveProblems, check_documents, live_documents, publish
from leadflow.store.engine import name_actor
from leadflow.store.lists import (
    bump_revision,
    custom_field_to_json,
    insert_lists,
    lock_lists,
    read_lists,
    replace_edges,
)
from leadflow.store.selections import insert_selection
from leadflow.store.tables import Installation, RuleSetRow, SelectionRow


def apply_configuration(connection: Connection, configuration: Configuration, now: datetime) -> None:
    """Bring the installation in line with `config/`. Applying the same files again changes nothing.

    Lists are seeded once and then belong to the administrators; the graph, `on_reentry`, custom fields and declared
    events always follow the files. Rules are published from the files until somebody edits them elsewhere.

    Raises: ConfigurationError if the rule documents have problems (all are in the message).
    """
    name_actor(connection, "configuration")
    lock_lists(connection)
    _seed(connection, configuration)
    lists = read_lists(connection)
    settings = {
        "on_reentry": configuration.on_reentry,
        "custom_fields": [custom_field_to_json(one) for one in configuration.custom_fields],
        "events": [[name, label] for name, label in configuration.events.items()],
    }
    stored = connection.execute(select(Installation.on_reentry, Installation.custom_fields, Installation.events)).one()
    if lists.lifecycle.edges != configuration.edges or stored._asdict() != settings:
        replace_edges(connection, configuration.edges)
        connection.execute(update(Installation).values(**settings))
        bump_revision(connection)
    _add_selections(connection, configuration.selections, now)
    seed_dashboards(connection, configuration.dashboards, now)
    _publish_from_files(connection, configuration.rule_documents.items(), now)
    _require_live_rules_to_hold(connection)


def _require_live_rules_to_hold(connection: Connection) -> None:
    """A custom field or declared event that a live rule names may not go away under it."""
    _, documents = live_documents(connection)
    if problems := check_documents(connection, documents):
        raise ConfigurationError("The live rules no longer fit this configuration:\n" + render_text(problems))


def _seed(connection: Connection, configuration: Configuration) -> None:
    statement = postgresql.insert(Installation).values(
        id=1, lifecycle_revision=0, on_reentry="open", custom_fields=[], events=[], live_version=None
    )
    connection.execute(statement.on_conflict_do_nothing())
    is_new = connection.scalar(select(Installation.lifecycle_revision)) == 0
    if is_new:
        insert_lists(connection, configuration.categories, configuration.lead_statuses)
        bump_revision(connection)


def _add_selections(connection: Connection, shipped: Iterable[ShippedSelection], now: datetime) -> None:
    """The shipped selections that were never here; those that people changed or deleted stay as people left them."""
    known = set(connection.scalars(select(SelectionRow.slug)))
    added = [one for one in shipped if one.meaning.slug not in known]
    for one in added:
        meant = one.meaning
        values: dict[str, Any] = {
            "slug": meant.slug,
            "title": meant.title,
            "description": one.description,
            "subject": meant.subject,
        }
        values |= {"kind": "dynamic", "condition": meant.condition, "created_by": SYSTEM.name}
        insert_selection(connection, {**values, "created_at": now, "updated_at": now})
    if added:
        bump_revision(connection)
        _require_readable(read_lists(connection).catalogue, [one.meaning.slug for one in added])


def _require_readable(catalogue: Catalogue, slugs: Iterable[str]) -> None:
    for slug in slugs:
        try:
            read_selection(catalogue.selections[slug], catalogue)
        except InvalidRequest as faults:
            raise ConfigurationError(f"selections/{slug}.yaml: {faults}") from None


def _publish_from_files(connection: Connection, documents: Iterable[tuple[str, str]], now: datetime) -> None:
    wanted = dict(documents)
    _, live = live_documents(connection)
    edited_elsewhere = connection.scalar(select(func.count()).where(RuleSetRow.origin != "config"))
    if not wanted or wanted == live or edited_elsewhere:
        return
    try:
        publish(connection, SYSTEM, wanted, origin="config", now=now)
    except RulesHaveProblems as faults:
        raise ConfigurationError(str(faults)) from None


def configured_catalogue(configuration: Configuration) -> Catalogue:
    """The catalogue as the files alone make it; for checks without a database."""
    lifecycle = Lifecycle({one.key: one for one in configuration.categories}, configuration.edges)
    statuses = LeadStatuses({one.key: one for one in configuration.lead_statuses})
    own = (configuration.custom_fields, configuration.events)
    return build_catalogue(lifecycle, statuses, *own, selections=[one.meaning for one in configuration.selections])


def configured_setting(configuration: Configuration, now: datetime) -> Setting:
    """What checks of rules know by the files alone."""
    lifecycle = Lifecycle({one.key: one for one in configuration.categories}, configuration.edges)
    return Setting(configured_catalogue(configuration), lifecycle, now)
