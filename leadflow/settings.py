"""Settings: LEADFLOW_… variables over `config/leadflow.yaml`. Read by doors only; every fault in one report."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from leadflow.errors import ConfigurationError

PREFIX = "LEADFLOW_"

# Names that are not settings: secrets of sources (LEADFLOW_SOURCE_<NAME>_SECRET), and what the tests use.
OTHER_NAMES = ("LEADFLOW_SOURCE_", "LEADFLOW_TEST_", "LEADFLOW_CI", "LEADFLOW_FULL_LOG", "LEADFLOW_CONFIG")

# Never shown; and shown without what is secret in them.
SECRETS = frozenset({"secret_key", "bootstrap_api_key", "former_secret_keys"})
ADDRESSES = frozenset({"database_url", "broker_url"})

Secret = Annotated[str, StringConstraints(min_length=16)]


def _split(value: object) -> object:
    """A list may be written as in YAML, or with commas, which is all that a variable can hold."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _read_networks(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, list):
        return parts
    try:
        return tuple(ip_network(part) for part in parts)
    except ValueError as error:
        raise ValueError(f"{error}; write networks such as 10.1.0.0/16 or 127.0.0.1, with commas between") from None


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_read_networks)]


def _read_rate(value: object) -> object:
    """`none` lifts a limit that is there by default."""
    return None if isinstance(value, str) and value.strip().casefold() == "none" else value


RateLimit = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,8} per (second|minute|hour|day)$")] | None,
    BeforeValidator(_read_rate),
]


class Settings(BaseModel):
    """All settings. A variable is the upper-case name with LEADFLOW_ before it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_url: str | None = None
    broker_url: str | None = None
    secret_key: Secret | None = None
    bootstrap_api_key: Secret | None = None
    web_host: str = "127.0.0.1"
    web_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    web_workers: Annotated[int, Field(ge=1, le=64)] = 2
    web_threads: Annotated[int, Field(ge=1, le=256)] = 32
    # For each key or account, and for each source, in each process of the web server.
    api_limit: RateLimit = "30000 per minute"
    hook_limit: RateLimit = None
    queue: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] = "leadflow"
    raw_body_days: Annotated[int, Field(ge=1, le=3650)] = 30
    allow_unverified_sources: bool = False
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    former_secret_keys: Annotated[tuple[Secret, ...], BeforeValidator(_split)] = ()
    outbound_allowed_networks: Networks = ()
    outbound_allow_http: bool = False
    batch_size: Annotated[int, Field(ge=1, le=5_000)] = 500
    # A sweep that would change more records waits for a person; not set: 500 or 5 % of them, whichever is more.
    max_changes: Annotated[int, Field(ge=0)] | None = None
    log_level: Annotated[str, StringConstraints(pattern=r"^(debug|info|warning|error)$", to_lower=True)] = "info"
    log_format: Annotated[str, StringConstraints(pattern=r"^(json|text)$")] = "text"

    @property
    def is_loopback(self) -> bool:
        """Whether the web server listens on this machine only."""
        return self.web_host in ("localhost", "::1") or self.web_host.startswith("127.")

    @property
    def required_database_url(self) -> str:
        """Raises: ConfigurationError if none is set."""
        if not self.database_url:
            raise ConfigurationError(
                "LEADFLOW_DATABASE_URL is not set. Example: postgresql://leadflow@db.example/leadflow"
                " — or start everything with its own PostgreSQL by `leadflow up`."
            )
        return self.database_url

    @property
    def required_secret_key(self) -> str:
        """Raises: ConfigurationError if none is set."""
        if self.secret_key is None:
            raise ConfigurationError(
                "LEADFLOW_SECRET_KEY is not set; it signs forms, seals secrets and must be the same on all servers."
            )
        return self.secret_key

    @property
    def required_broker_url(self) -> str:
        """Raises: ConfigurationError if none is set."""
        if not self.broker_url:
            raise ConfigurationError("LEADFLOW_BROKER_URL is not set. Example: amqp://leadflow:…@broker.example:5672//")
        return self.broker_url


def find_config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """LEADFLOW_CONFIG, else `./config`, else the files that come with the package."""
    if named := environment.get("LEADFLOW_CONFIG"):
        if not Path(named).is_dir():
            raise ConfigurationError(f"LEADFLOW_CONFIG: there is no folder {named}")
        return Path(named)
    package = Path(__file__).parent
    candidates = (Path("config"), package / "_config", package.parent / "config")
    for folder in candidates:
        if (folder / "lifecycle.yml").is_file():
            return folder
    raise ConfigurationError("No configuration found: there is no config/lifecycle.yml here. Set LEADFLOW_CONFIG.")


def read_settings(folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from `folder`/leadflow.yaml and the environment, the latter winning.

    Raises: ConfigurationError naming every unknown name and wrong value at once.
    """
    values, faults = _from_file(folder / "leadflow.yaml")
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name.startswith(OTHER_NAMES):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in Settings.model_fields:
            values[key] = value
        else:
            faults.append(f"{name}: unknown setting; known: {_known_names()}")
    try:
        settings = Settings(**{key: value for key, value in values.items() if value != ""})
    except ValidationError as error:
        faults += [f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return settings


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting as it holds: its variable, its value for people to read, and where it comes from."""

    variable: str
    value: str
    origin: Literal["environment", "file", "default"]


def settings_in_force(folder: Path, environment: Mapping[str, str] = os.environ) -> tuple[InForce, ...]:
    """All settings, and the secrets of sources by name. A secret is never told, only whether there is one."""
    settings = read_settings(folder, environment)
    in_file, _ = _from_file(folder / "leadflow.yaml")
    found = [
        InForce(
            variable := f"{PREFIX}{name.upper()}", _shown(name, settings), _origin(variable, name, in_file, environment)
        )
        for name in Settings.model_fields
    ]
    secrets_of_sources = sorted(name for name in environment if name.startswith("LEADFLOW_SOURCE_"))
    return (*found, *(InForce(name, "set", "environment") for name in secrets_of_sources))


def _origin(
    variable: str, name: str, in_file: Mapping[str, Any], environment: Mapping[str, str]
) -> Literal["environment", "file", "default"]:
    if environment.get(variable):
        return "environment"
    return "file" if in_file.get(name, "") != "" else "default"


def _shown(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if name in SECRETS:
        return "set" if value else "not set"
    if name in ADDRESSES:
        return _without_password(value) if value else "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _without_password(url: str) -> str:
    """The address with dots for its password and without its parameters, which may hold one, too."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "set"
    who = f"{parts.username or ''}{':…' if parts.password else ''}@" if parts.username or parts.password else ""
    return f"{parts.scheme}://{who}{parts.hostname or ''}{port}{parts.path}"


def _from_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    if not path.exists():
        return {}, []
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, [f"{path}: not readable as YAML: {error}"]
    if not isinstance(document, dict):
        return {}, [f"{path}: must be a list of settings, name: value"]
    unknown = [f"{path}: unknown setting {key}; known: {_known_names()}" for key in document if not _is_known(key)]
    return {key: value for key, value in document.items() if _is_known(key)}, unknown


def _is_known(key: object) -> bool:
    return isinstance(key, str) and key in Settings.model_fields


def _known_names() -> str:
    return ", ".join(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)


def kept_secret(path: Path) -> str:
    """The secret in a file that only its owner can read; made at the first call."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
