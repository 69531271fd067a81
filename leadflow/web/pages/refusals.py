"""Why something was not done, as the person who tried it reads it."""

from __future__ import annotations

from flask_babel import gettext as _

from leadflow.errors import InvalidRequest, LeadflowError, StaleWrite

FIELDS = {"email": "e-mail address", "expires_at": "expiry", "short_name": "short name"}


def sentence_of(error: LeadflowError) -> str:
    """Each fault as a sentence; what has one already keeps it."""
    if isinstance(error, StaleWrite):
        return str(_("Somebody changed this since you opened the page. Look at it as it is now, then decide."))
    if not isinstance(error, InvalidRequest):
        return str(error)
    named = [(FIELDS.get(one.location, one.location), one.message) for one in error.faults]
    return " ".join(f"The {field} {message}." if field else message for field, message in named)
