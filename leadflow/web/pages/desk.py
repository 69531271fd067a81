"""What every page needs: a transaction to read in, the lists, who looks, and the frame around the page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Blueprint, current_app, redirect, render_template, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from leadflow.errors import InvalidRequest, NotFound
from leadflow.services.access import Role
from leadflow.store import page_reads, reads
from leadflow.store.lists import Lists, ListsCache
from leadflow.web.auth import current_caller
from leadflow.web.config import web_config
from leadflow.web.pages import times, wording
from leadflow.web.pages.kept import Kept
from leadflow.web.pages.navigation import groups_for

EXTENSION = "leadflow.pages"
THEME_COOKIE = "leadflow_theme"
PAGE_SIZE = 50
MAX_ID = 2**63 - 1

Number = TypeVar("Number")


@dataclass
class Desk:
    """What the pages of one application share."""

    lists: ListsCache = field(default_factory=ListsCache)
    kept: Kept = field(default_factory=Kept)


def prepare(blueprint: Blueprint) -> None:
    """Give the templates their words and moments, and the application its desk."""
    blueprint.record_once(lambda state: state.app.extensions.setdefault(EXTENSION, Desk()))
    blueprint.app_context_processor(lambda: {"words": wording, "theme": theme(), "now": now()})
    blueprint.app_template_filter("relative")(lambda moment: times.relative(moment, now()))
    blueprint.app_template_filter("due")(lambda moment: times.due(moment, now()))
    blueprint.app_template_filter("full")(times.full)
    blueprint.app_template_filter("machine")(times.machine)


def now() -> datetime:
    return web_config().clock()


def theme() -> str | None:
    """The theme this browser chose; None follows the system."""
    chosen = request.cookies.get(THEME_COOKIE)
    return chosen if chosen in ("light", "dark") else None


@contextmanager
def reading() -> Iterator[Connection]:
    """A transaction that writes nothing."""
    with web_config().engine.connect() as connection:
        yield connection


@contextmanager
def writing() -> Iterator[Connection]:
    """A transaction that is committed at its end."""
    with web_config().engine.begin() as connection:
        yield connection


def lists(connection: Connection) -> Lists:
    return cast(Desk, current_app.extensions[EXTENSION]).lists.read(connection)


def kept(key: Hashable, connection: Connection, count: Callable[[Connection], Number]) -> Number:
    """What `count` says; if counting is slow, what it said a moment ago. It must not read the request."""
    shared = cast(Desk, current_app.extensions[EXTENSION]).kept
    return shared.read(key, connection, count, web_config().engine).value


def can_edit() -> bool:
    return current_caller().role.covers(Role.EDITOR)


def can_administer() -> bool:
    return current_caller().role.covers(Role.ADMIN)


def show(connection: Connection, template: str, section: str, code: int = 200, /, **values: Any) -> tuple[str, int]:
    """The page in its frame; `section` is the entry of the navigation that it belongs to."""
    frame = {
        "section": section,
        "person": current_caller(),
        "can_edit": can_edit(),
        "can_administer": can_administer(),
        "attention": page_reads.attention(connection, now()),
        "navigation": list(groups_for(current_caller().role, frozenset(current_app.view_functions))),
        "lists": lists(connection),
        "hook_url": request.host_url + "hooks/generic",
        "q": "",
    }
    return render_template(template, **{**frame, **values}), code


def records_of(
    connection: Connection, items: Iterable[Any]
) -> tuple[dict[int, reads.CompanyView], dict[int, reads.ContactView]]:
    """The companies and contacts that some events or tasks name, by id."""
    named = list(items)
    company_ids = {one.company_id for one in named if one.company_id is not None}
    contact_ids = {one.contact_id for one in named if one.contact_id is not None}
    companies = reads.companies_by_id(connection, company_ids) if company_ids else {}
    contacts = reads.contacts_by_id(connection, contact_ids) if contact_ids else {}
    return companies, contacts


# -- what the address bar and forms say --------------------------------------------------------------------------------


def asked(name: str) -> str:
    """A parameter of the address without blanks around it; empty if it is missing or cannot be stored."""
    text = request.args.get(name, "").strip()[:200]
    return "" if "\x00" in text else text


def asked_after() -> int | None:
    """The key after which the page begins."""
    text = request.args.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def expected_id(number: int) -> int:
    """The id in an address. Raises: NotFound for one that cannot be."""
    if number > MAX_ID:
        raise NotFound("There is no such record.")
    return number


def sent_revision() -> int:
    """The revision that the form was made from. Raises: InvalidRequest."""
    text = request.form.get("revision", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest("The page is too old. Load it again and repeat.")
    return int(text)


def local_path(target: str | None, otherwise: str) -> str:
    """`target` if it is a path of this site, so that nobody is led elsewhere after signing in."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or not target.isprintable():
        return otherwise
    parts = urlsplit(target)
    return otherwise if parts.scheme or parts.netloc else target


def go(target: str) -> Response:
    """See Other: the browser gets the page anew, and a reload repeats nothing."""
    return redirect(target, 303)
