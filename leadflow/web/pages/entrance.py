"""Signing in and out, one's own account, and the page that says what went wrong."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from leadflow.errors import InvalidRequest, NotFound
from leadflow.services import accounts
from leadflow.services.access import (
    PASSWORD_MIN_LENGTH,
    SignIn,
    find_sign_in_link,
    revoke_session,
    revoke_sessions_of,
    session_id_of,
    use_sign_in_link,
)
from leadflow.services.access import sign_in as try_password
from leadflow.web import auth
from leadflow.web.pages import desk
from leadflow.web.pages.browsers import browser_words
from leadflow.web.pages.refusals import sentence_of
from leadflow.web.problems import Problem

WRONG = _l("E-mail address or password is not right.")
THROTTLED = _l("There were too many attempts. Wait a quarter of an hour, or use a one-time link.")
WRONG_PASSWORD = _l("Your present password is not right.")
NOT_TWICE = _l("The two new passwords differ. Type the same one twice.")

TITLES = {
    400: "That did not work",
    403: "Not allowed",
    404: "Nothing here",
    405: "That did not work",
    409: "Not changed",
    412: "It changed meanwhile",
    413: "That is too large",
    422: "That did not work",
    429: "A little slower, please",
    500: "Something went wrong",
    503: "Back in a moment",
}
# Where our own words are kinder than what was raised.
DETAILS = {
    404: "The page or record does not exist, or it has been moved.",
    500: "The fault is ours and has been noted. Nothing was changed half-way.",
    503: "leadflow cannot reach its database right now. Forms that come in meanwhile are told to try again.",
}


def register(pages: Blueprint) -> None:
    """Add signing in and out to the blueprint."""

    @pages.route("/sign-in", methods=["GET", "POST"])
    @auth.public("signing in is for those who are not signed in")
    def sign_in() -> Any:
        target = desk.local_path(request.values.get("next"), url_for("pages.overview"))
        if request.method == "POST":
            return _sign_in(request.form.get("email", ""), request.form.get("password", ""), target)
        if auth.identify() is not None:
            return desk.go(target)
        return render_template("sign_in.html", next_url=target)

    @pages.route("/sign-in/link/<token>", methods=["GET", "POST"])
    @auth.public("the link itself is the proof")
    def sign_in_by_link(token: str) -> Any:
        # A link is opened by previews too; only the button uses it up.
        return _page_of_link(token) if request.method == "GET" else _use_link(token)

    @pages.post("/sign-out")
    @auth.public("a session that has ended can be left, too")
    def sign_out() -> Any:
        token = auth.current_session_token()
        if token:
            with desk.writing() as connection:
                revoke_session(connection, token, desk.now())
        response = make_response(desk.go(url_for("pages.sign_in")))
        auth.take_session(response)
        return response

    _register_account(pages)


def _sign_in(email: str, password: str, target: str) -> Any:
    with desk.writing() as connection:
        tried = try_password(connection, email, password, auth.remote_address(), desk.now(), auth.user_agent())
    if tried.token is not None:
        return _let_in(tried.token, target)
    trouble, status = (THROTTLED, 429) if tried.is_throttled else (WRONG, 401)
    return render_template("sign_in.html", trouble=trouble, email=email, next_url=target), status


def _page_of_link(token: str, trouble: str | None = None) -> Any:
    with desk.reading() as connection:
        link = find_sign_in_link(connection, token, desk.now())
    status = 410 if link is None else 422 if trouble else 200
    return render_template("sign_in_link.html", link=link, trouble=trouble, min_length=PASSWORD_MIN_LENGTH), status


def _use_link(token: str) -> Any:
    """Let the owner in, with the password that the form may hold; "without" is the button that sets none."""
    password = None if "without" in request.form else request.form.get("password")
    here = (auth.remote_address(), auth.user_agent())
    try:
        with desk.writing() as connection:
            session = use_sign_in_link(connection, token, desk.now(), password, *here)
    except InvalidRequest as error:
        return _page_of_link(token, sentence_of(error))
    return _page_of_link(token) if session is None else _let_in(session, url_for("pages.overview"))


# -- one's own account -------------------------------------------------------------------------------------------------


def _register_account(pages: Blueprint) -> None:
    @pages.get("/account")
    @auth.requires("viewer")
    def account() -> Any:
        return _account_page()

    @pages.post("/account/name")
    @auth.requires("viewer")
    def change_own_name() -> Any:
        return _change_name(request.form.get("name", ""))

    @pages.post("/account/password")
    @auth.requires("viewer")
    def change_own_password() -> Any:
        return _change_password(request.form.get("password", ""))

    @pages.post("/account/sessions/<session_id>/end")
    @auth.requires("viewer")
    def end_own_session(session_id: str) -> Any:
        return _end_session(session_id)

    @pages.post("/account/sign-out-everywhere")
    @auth.requires("viewer")
    def sign_out_everywhere() -> Any:
        with desk.writing() as connection:
            revoke_sessions_of(connection, _own_id(), desk.now())
        response = make_response(desk.go(url_for("pages.sign_in")))
        auth.take_session(response)
        return response


def _own_id() -> int:
    return int(auth.current_caller().id)


def _account_page(status: int = 200, **said: Any) -> Any:
    with desk.reading() as connection:
        values = {
            "account": accounts.account(connection, _own_id()),
            "sessions": accounts.sessions_of(connection, _own_id(), desk.now()),
            "this_session": session_id_of(auth.current_session_token() or ""),
            "browser_words": browser_words,
            "min_length": PASSWORD_MIN_LENGTH,
        }
        return desk.show(connection, "account.html", "account", status, **{**values, **said})


def _change_name(name: str) -> Any:
    try:
        with desk.writing() as connection:
            accounts.change_account(connection, _own_id(), {"name": name}, desk.now())
    except InvalidRequest as error:
        return _account_page(422, name_trouble=sentence_of(error))
    flash(_("Saved. From now on the history names you so."), "green")
    return desk.go(url_for("pages.account"))


def _change_password(password: str) -> Any:
    if password != request.form.get("again", ""):
        return _account_page(422, password_trouble=NOT_TWICE)
    try:
        tried = _try_new_password(password)
    except InvalidRequest as error:
        return _account_page(422, password_trouble=sentence_of(error))
    if tried.token is None:
        trouble, status = (THROTTLED, 429) if tried.is_throttled else (WRONG_PASSWORD, 422)
        return _account_page(status, password_trouble=trouble)
    flash(_("Your password is changed. Other browsers that were signed in as you are signed out."), "green")
    return _let_in(tried.token, url_for("pages.account"))


def _try_new_password(password: str) -> SignIn:
    here = (auth.remote_address(), desk.now(), auth.user_agent())
    with desk.writing() as connection:
        current = request.form.get("current", "")
        return accounts.change_own_password(connection, _own_id(), current, password, *here)


def _end_session(session_id: str) -> Any:
    try:
        with desk.writing() as connection:
            accounts.end_session(connection, _own_id(), session_id, desk.now())
    except NotFound as reason:
        flash(str(reason), "amber")
    else:
        flash(_("That browser is signed out."), "green")
    return desk.go(url_for("pages.account"))


def _let_in(token: str, target: str) -> Response:
    response = make_response(desk.go(target))
    auth.give_session(response, token)
    return response


def show_problem(problem: Problem) -> Response:
    """The page for people; who is not signed in is led to the sign-in page. It asks nothing of the database."""
    if problem.status == 401:
        return auth.to_sign_in()
    title = TITLES.get(problem.status, problem.reason)
    detail = DETAILS.get(problem.status) or problem.detail or ""
    if problem.status == 404 and request.endpoint is not None and problem.detail:
        detail = problem.detail
    again = _where_to_try_again() if problem.status in (429, 500, 503) else None
    page = render_template("error.html", status=problem.status, title=title, detail=detail, again=again)
    response = make_response(page, problem.status)
    if request.headers.get("HX-Request"):
        # The form that sent this waits for a part of its own page; an error page has none, so it takes the whole.
        response.headers.update({"HX-Retarget": "body", "HX-Reselect": ".alone", "HX-Reswap": "innerHTML"})
    return response


def _where_to_try_again() -> str:
    """This page, if it was only looked at."""
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    return desk.local_path(here, url_for("pages.overview"))
