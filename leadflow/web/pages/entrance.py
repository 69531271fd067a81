"""Signing in and out, and the page that says what went wrong."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, url_for

from leadflow.services.access import revoke_session, use_sign_in_link
from leadflow.services.access import sign_in as try_password
from leadflow.web import auth
from leadflow.web.pages import desk
from leadflow.web.problems import Problem

WRONG = "E-mail address or password is not right."
THROTTLED = "There were too many attempts. Wait a quarter of an hour, or use a one-time link."
LINK_IS_OVER = "It has been used already, or it is older than a day. Make a new one on the server."

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
        if request.method == "GET":
            # A link is opened by previews too; only the button uses it up.
            return render_template("sign_in_link.html")
        with desk.writing() as connection:
            session = use_sign_in_link(connection, token, desk.now())
        if session is None:
            return render_template("sign_in_link.html", trouble=LINK_IS_OVER), 410
        return _let_in(session, url_for("pages.overview"))

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


def _sign_in(email: str, password: str, target: str) -> Any:
    with desk.writing() as connection:
        tried = try_password(connection, email, password, auth.remote_address(), desk.now())
    if tried.token is not None:
        return _let_in(tried.token, target)
    trouble, status = (THROTTLED, 429) if tried.is_throttled else (WRONG, 401)
    return render_template("sign_in.html", trouble=trouble, email=email, next_url=target), status


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
