"""The command line. Exit status 0: fine; 1: problems were found; 2: wrong usage or configuration."""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import rich_click as click
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from leadflow import __version__
from leadflow.domain.events import Actor, ActorKind
from leadflow.domain.fields import Catalogue
from leadflow.errors import ConfigurationError, LeadflowError
from leadflow.settings import Settings, find_config_folder, read_settings

DEFAULT_DATA = Path(".leadflow")

data_option = click.option(
    "--data", type=click.Path(path_type=Path), default=DEFAULT_DATA, show_default=True,
    help="Folder of a `leadflow up` that runs beside this command, where LEADFLOW_DATABASE_URL is not set.",
)  # fmt: skip


def fail(message: str, status: int = 2) -> NoReturn:
    """End with a message on standard error."""
    click.echo(message, err=True)
    raise SystemExit(status)


def reports_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors that people can mend end the command with their sentence, never with a traceback."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except ConfigurationError as error:
            fail(str(error))
        except OperationalError as error:
            fail(f"The database does not answer: {str(error.orig).strip()}", 1)
        except LeadflowError as error:
            fail(str(error), 1)

    return run


def _settings() -> tuple[Settings, Path]:
    from leadflow.logs import set_up_logs

    folder = find_config_folder()
    settings = read_settings(folder)
    set_up_logs(settings.log_level, settings.log_format)
    return settings, folder


def _database_url(settings: Settings, data: Path) -> str:
    from leadflow.store.postgres_server import PostgresServer

    url = settings.database_url or (PostgresServer(data).running_url() if data.exists() else None)
    return url or settings.required_database_url


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    """One transaction on the database at `url`, and no connection left behind."""
    from leadflow.store.engine import make_engine

    engine = make_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _connected(data: Path) -> Iterator[Connection]:
    """A transaction on the database of LEADFLOW_DATABASE_URL, or of the `leadflow up` that runs here."""
    settings, _ = _settings()
    with _transaction(_database_url(settings, data)) as connection:
        yield connection


def _operator() -> Actor:
    name = os.environ.get("USER") or os.environ.get("USERNAME") or "command line"
    return Actor(ActorKind.PERSON, None, name)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leadflow")
def main() -> None:
    """Lead lifecycle automation: forms come in, rules decide, and no customer is ever downgraded."""


# -- running -----------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--demo", is_flag=True, help="Load companies, contacts and 90 days of events, once.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535))
@click.option(
    "--data", type=click.Path(path_type=Path), default=DEFAULT_DATA, show_default=True,
    help="Where the database and keys are kept.",
)  # fmt: skip
@reports_errors
def up(demo: bool, host: str, port: int, data: Path) -> None:
    """Everything on one machine: database, web, workers, scheduler. Ctrl-C stops it; a second start keeps the data."""
    from leadflow.embedded import Running, run_everything

    settings, folder = _settings()

    def show(running: Running) -> None:
        click.echo(f"leadflow runs at {running.url}")
        click.echo(f"Sign in as administrator, once, within a day: {running.sign_in_url}")
        click.echo("Choose a password there, or start again for a new link. Ctrl-C stops.")
        if demo:
            from leadflow.demo import load_demo_in_background

            load_demo_in_background(running.engine, running.configuration.sources, click.echo)

    run_everything(settings, folder, data, host, port, show)


@main.command()
@click.option("--host", default=None, help="Address to listen on; default LEADFLOW_WEB_HOST or 127.0.0.1.")
@click.option("--port", default=None, type=click.IntRange(0, 65_535), help="Default LEADFLOW_WEB_PORT or 8000.")
@reports_errors
def web(host: str | None, port: int | None) -> None:
    """The web server: hooks, API and screens."""
    from granian import Granian
    from granian.constants import Interfaces

    if host is not None:
        os.environ["LEADFLOW_WEB_HOST"] = host
    if port is not None:
        os.environ["LEADFLOW_WEB_PORT"] = str(port)
    settings, _ = _settings()
    _prepare_for_work(settings)
    settings.required_broker_url  # noqa: B018 - says what is missing before the processes start
    settings.required_secret_key  # noqa: B018 - the same
    click.echo(f"leadflow web listens on http://{settings.web_host}:{settings.web_port}")
    # Loaded before the processes part, so that they share the memory of the code.
    importlib.import_module("leadflow.web.wsgi")
    gc.collect()
    gc.freeze()
    Granian(
        "leadflow.web.wsgi:make_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.web_host,
        port=settings.web_port,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        backpressure=settings.web_threads * 4,
        log_enabled=settings.log_level == "debug",
        respawn_failed_workers=True,
    ).serve()


def _prepare_for_work(settings: Settings) -> None:
    """Wait for the schema, and make the bootstrap key, before the first request needs them."""
    from leadflow.services.access import ensure_bootstrap_key
    from leadflow.store.migrate import revisions
    from leadflow.tasks.draining import utc_now

    with _transaction(settings.required_database_url) as connection:
        present, newest = revisions(connection)
        if present != newest:
            fail(f"The database is at revision {present}, this version needs {newest}: run `leadflow db upgrade`.", 1)
        if settings.bootstrap_api_key:
            ensure_bootstrap_key(connection, settings.bootstrap_api_key, utc_now())


@main.command()
@click.option("--concurrency", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@reports_errors
def worker(concurrency: int) -> None:
    """A worker: evaluates rules and writes. Start as many as you like, on any hosts."""
    from leadflow.services.configuration import read_configuration
    from leadflow.services.processing import Desk
    from leadflow.store.engine import make_engine
    from leadflow.tasks.app import make_celery
    from leadflow.tasks.events import Workplace, register_tasks
    from leadflow.tasks.sending import register_sender

    settings, folder = _settings()
    _prepare_for_work(settings)
    sources = read_configuration(folder).sources
    url = settings.required_database_url
    app = make_celery(settings.required_broker_url, settings.queue)
    sizes = (settings.batch_size, settings.max_changes)
    register_tasks(app, Workplace(lambda: make_engine(url, pool_size=2), lambda: Desk(sources), *sizes))
    register_sender(settings)
    # SIGTERM ends the worker softly: the batch at hand is finished or put back.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    click.echo(f"leadflow worker {os.getpid()} waits for work")
    arguments = [
        "--quiet",
        "worker",
        f"--concurrency={concurrency}",
        "--pool=prefork",
        "--without-gossip",
        "--without-mingle",
    ]
    app.worker_main([*arguments, f"--hostname=leadflow-{os.getpid()}@%h", f"--loglevel={settings.log_level}"])


@main.command()
@reports_errors
def scheduler() -> None:
    """The scheduler: starts what is due, rings for what no message announced, and puts away what is old."""
    import signal

    from leadflow.store.engine import make_engine
    from leadflow.tasks.app import SWEEP, make_celery
    from leadflow.tasks.ringing import Doorbell
    from leadflow.tasks.scheduling import Scheduler

    settings, _ = _settings()
    _prepare_for_work(settings)
    celery = make_celery(settings.required_broker_url, settings.queue, publishes_only=True)
    bell, sweep_bell = Doorbell(celery), Doorbell(celery, SWEEP)
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    engine = make_engine(settings.required_database_url, pool_size=1)
    click.echo(f"leadflow scheduler {os.getpid()} ticks")
    Scheduler(engine, bell.ring, settings.raw_body_days, sweep_bell.ring).run(stop)


# -- database ----------------------------------------------------------------------------------------------------------


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@data_option
@reports_errors
def db_upgrade(data: Path) -> None:
    """Bring the database to this version and apply `config/`."""
    from leadflow.services.access import ensure_bootstrap_key
    from leadflow.services.configuration import read_configuration
    from leadflow.services.installation import apply_configuration
    from leadflow.store.migrate import upgrade
    from leadflow.tasks.draining import utc_now

    settings, folder = _settings()
    configuration = read_configuration(folder)
    url = _database_url(settings, data)
    upgrade(url)
    with _transaction(url) as connection:
        apply_configuration(connection, configuration, utc_now())
        if settings.bootstrap_api_key:
            ensure_bootstrap_key(connection, settings.bootstrap_api_key, utc_now())
    click.echo("The database is up to date and the configuration is applied.")


@db.command("check")
@data_option
@reports_errors
def db_check(data: Path) -> None:
    """Verify the schema, the guard and the ledger: the state must be the ledger's replay."""
    from leadflow.services.checking import check_database

    with _connected(data) as connection:
        _report(check_database(connection))


def _report(findings: list[Any]) -> None:
    for one in findings:
        mark = click.style("ok ", fg="green") if one.is_fine else click.style("BAD", fg="red", bold=True)
        click.echo(f"{mark} {one.what}: {one.detail}")
        if one.remedy:
            click.echo(f"    {one.remedy}")
    if not all(one.is_fine for one in findings):
        raise SystemExit(1)


# -- rules -------------------------------------------------------------------------------------------------------------


@main.group()
def rules() -> None:
    """Rule documents: check, publish, write back."""


paths_argument = click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))


def _read_documents(paths: tuple[Path, ...]) -> dict[str, str]:
    """The documents at these paths, with what they use; the name of each begins where its path ends."""
    from leadflow.services.configuration import read_rule_document, read_rule_documents

    documents: dict[str, str] = {}
    for path in paths:
        found = read_rule_documents(path) if path.is_dir() else read_rule_document(path)
        for name, content in found.items():
            if documents.setdefault(name, content) != content:
                fail(f"Two different files would both be the document {name}; name the folder above them instead.")
    if not documents:
        fail("There is no rule document (*.yaml) there.")
    return documents


@rules.command("check")
@paths_argument
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@reports_errors
def rules_check(paths: tuple[Path, ...], form: str) -> None:
    """All problems of rule documents, each at file:line:column. Needs no database."""
    from leadflow.rules.linting import lint
    from leadflow.rules.parsing import parse_documents
    from leadflow.rules.problems import errors_among, render_github, render_json, render_text
    from leadflow.services.configuration import read_configuration
    from leadflow.services.installation import configured_setting
    from leadflow.tasks.draining import utc_now

    documents = _read_documents(paths)
    setting = configured_setting(read_configuration(find_config_folder()), utc_now())
    parsed = parse_documents(documents, setting.catalogue)
    problems = parsed.problems or lint(parsed.rule_set, documents, setting)
    render = {"text": render_text, "json": render_json, "github": render_github}[form]
    shown = render(problems)
    if shown:
        click.echo(shown)
    if errors := errors_among(problems):
        if form == "text":
            click.echo(f"{len(errors)} problem(s) in {len(documents)} document(s).", err=True)
        raise SystemExit(1)
    if form == "text":
        hints = f"no problems, {len(problems)} to think about" if problems else "no problems"
        click.echo(f"{len(parsed.rule_set.rules)} rules in {len(documents)} document(s): {hints}.")


@rules.command("test")
@paths_argument
@click.option("--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@click.option("--memory-only", is_flag=True, help="Ask no database; conditions are not tried as SQL.")
@data_option
@reports_errors
def rules_test(paths: tuple[Path, ...], form: str, memory_only: bool, data: Path) -> None:
    """Run the tests of rules in memory and as SQL; shows what they never saw, and changes that none would notice."""
    from leadflow.rules.parsing import parse_documents
    from leadflow.rules.problems import render_text
    from leadflow.rules.testing.rendering import render_report_json, render_report_junit, render_report_text
    from leadflow.services.configuration import read_configuration
    from leadflow.services.rule_tests import ground_of_configuration, run_tests

    settings, folder = _settings()
    ground = ground_of_configuration(read_configuration(folder))
    parsed = parse_documents(_read_documents(paths), ground.catalogue)
    if parsed.problems:
        fail(render_text(parsed.problems), 1)
    if memory_only:
        report = run_tests(parsed, ground)
    else:
        with _any_database(settings, data) as url, _transaction(url) as connection:
            report = run_tests(parsed, ground, connection)
    render = {"text": render_report_text, "json": render_report_json, "junit": render_report_junit}[form]
    click.echo(render(report))
    if report.failed:
        raise SystemExit(1)


@contextmanager
def _any_database(settings: Settings, data: Path) -> Iterator[str]:
    """A database for what leaves nothing behind: that of the settings, the one that runs here, or a new one."""
    from leadflow.store.postgres_server import PostgresServer

    running = settings.database_url or (PostgresServer(data).running_url() if data.exists() else None)
    if running is not None:
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="leadflow-rules-test-") as folder:
        server = PostgresServer(Path(folder), durable=False)
        try:
            yield server.start()
        finally:
            server.destroy()


@rules.command("apply")
@paths_argument
@click.option("--force", is_flag=True, help="Overwrite edits that were made in the UI.")
@data_option
@reports_errors
def rules_apply(paths: tuple[Path, ...], force: bool, data: Path) -> None:
    """Publish files as a new version of the rules, all or nothing; shows the difference to the live ones."""
    from leadflow.services.rule_documents import edited_here
    from leadflow.services.rule_sets import live_documents, publish
    from leadflow.tasks.draining import utc_now

    documents = _read_documents(paths)
    with _connected(data) as connection:
        version, live = live_documents(connection)
        _show_difference(live, documents)
        edits = edited_here(connection) if live != documents else None
        if edits is not None and not force:
            fail(
                f"The live rules were edited in the UI or through the API: {edits}.\n"
                "`leadflow rules pull DIR` gets them, --force overwrites them.",
                1,
            )
        if edits is not None:
            click.echo(f"Overwritten: {edits}. Version {version} keeps them.", err=True)
        new = publish(connection, _operator(), documents, origin="files", now=utc_now(), based_on=version)
    click.echo(f"No change: version {new} stays live." if new == version else f"Version {new} is live.")


def _show_difference(live: dict[str, str], documents: dict[str, str]) -> None:
    for name in sorted({*live, *documents}):
        before, after = live.get(name, ""), documents.get(name, "")
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"live/{name}", f"new/{name}", lineterm="", n=2
        )
        for line in lines:
            click.secho(line, fg={"+": "green", "-": "red"}.get(line[:1]))


@rules.command("plan")
@paths_argument
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--samples", type=click.IntRange(0, 200), default=10, show_default=True, help="Records to show per rule.")
@click.option("--seconds", type=click.FloatRange(0), default=60, show_default=True,
              help="At most so long; 0 for as long as it takes. What was left out is said.")  # fmt: skip
@data_option
@reports_errors
def rules_plan(paths: tuple[Path, ...], form: str, samples: int, seconds: float, data: Path) -> None:
    """What `rules apply` of these files would do to the records as they are now; nothing is changed.

    Exit status 1: the documents have problems, or the brake would stop a scheduled rule.
    """
    from leadflow.services.configuration import read_configuration
    from leadflow.services.plan_rendering import render_plan_json, render_plan_text
    from leadflow.services.processing import Desk
    from leadflow.services.sweeps import Workbench

    documents = _read_documents(paths)
    settings, folder = _settings()
    bench = Workbench(Desk(read_configuration(folder).sources), settings.max_changes)
    with _connected(data) as connection:
        plan = _plan_with_progress(connection, bench, documents, samples, seconds)
        catalogue = bench.desk.lists.read(connection).catalogue
    click.echo(render_plan_json(plan) if form == "json" else render_plan_text(plan, catalogue))
    if plan.problems or any(one.brake and one.brake.is_braked for one in plan.rules):
        raise SystemExit(1)


def _plan_with_progress(
    connection: Connection, bench: Any, documents: dict[str, str], samples: int, seconds: float
) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from leadflow.services.rule_plans import UNBOUNDED, Bounds, make_plan
    from leadflow.tasks.draining import utc_now

    bounds = Bounds(UNBOUNDED.records, seconds) if seconds else UNBOUNDED
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, Any] = {}

        def show(rule: str, done: int, total: int) -> None:
            if rule not in tasks:
                tasks[rule] = bar.add_task(rule)
            bar.update(tasks[rule], completed=done, total=total)

        return make_plan(connection, bench, documents, utc_now(), samples=samples, bounds=bounds, on_progress=show)


@rules.command("pull")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@data_option
@reports_errors
def rules_pull(folder: Path, data: Path) -> None:
    """Write the live documents to a folder."""
    from leadflow.services.rule_sets import live_documents

    with _connected(data) as connection:
        version, documents = live_documents(connection)
    for name, content in documents.items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            fail(f"The document {name} would be written outside {folder}.", 1)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    click.echo(f"Version {version}: {len(documents)} document(s) written to {folder}.")


@rules.command("certify")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@data_option
@reports_errors
def rules_certify(paths: tuple[Path, ...], data: Path) -> None:
    """Prove that no sequence of rules downgrades a company: the live rules, or those of files under config/."""
    from leadflow.rules.certificate import render_certificate
    from leadflow.services.certificates import certify_files, certify_live_rules
    from leadflow.services.configuration import read_configuration

    if paths:
        certificate = certify_files(_read_documents(paths), read_configuration(find_config_folder()))
    else:
        with _connected(data) as connection:
            certificate = certify_live_rules(connection)
    click.echo(render_certificate(certificate))
    if not certificate.holds:
        raise SystemExit(1)


@main.command()
@click.option("--live", is_flag=True, help="With the lists as they are in the database, not as config/ has them.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@data_option
@reports_errors
def schema(live: bool, output: Path | None, data: Path) -> None:
    """JSON Schema of rule documents: with it an editor completes fields, operators and values."""
    from leadflow.rules.schema import render_schema

    _write(render_schema(_catalogue(live, data)), output)


@main.command()
@click.option("--live", is_flag=True, help="With the lists as they are in the database, not as config/ has them.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@data_option
@reports_errors
def reference(live: bool, output: Path | None, data: Path) -> None:
    """Reference of the rule language: every field, operator, trigger, action and error, as Markdown."""
    from leadflow.rules.reference import render_reference

    _write(render_reference(_catalogue(live, data)), output)


def _catalogue(live: bool, data: Path) -> Catalogue:
    from leadflow.services.configuration import read_configuration
    from leadflow.services.installation import configured_catalogue
    from leadflow.store.lists import read_lists

    if not live:
        return configured_catalogue(read_configuration(find_config_folder()))
    with _connected(data) as connection:
        return read_lists(connection).catalogue


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output} is written.")


# -- scheduled rules ---------------------------------------------------------------------------------------------------


@main.command()
@click.argument("rule")
@click.option("--dry-run", is_flag=True, help="Count, and show examples of what would change; change nothing.")
@click.option("--yes", is_flag=True, help="Go on also where so many would change that the brake waits for a person.")
@data_option
@reports_errors
def sweep(rule: str, dry_run: bool, yes: bool, data: Path) -> None:
    """Run a scheduled rule over all records now."""
    from leadflow.services.configuration import read_configuration
    from leadflow.services.processing import Desk
    from leadflow.services.sweeps import Workbench, rehearse
    from leadflow.store.engine import make_engine
    from leadflow.tasks.draining import utc_now
    from leadflow.tasks.sweeping import Sweeper

    settings, folder = _settings()
    engine = make_engine(_database_url(settings, data), pool_size=1)
    desk = Desk(read_configuration(folder).sources)
    try:
        if not dry_run:
            _run_sweep(Sweeper(engine, desk, max_changes=settings.max_changes), rule, yes)
            return
        with engine.connect() as connection:
            rehearsal = rehearse(connection, Workbench(desk, settings.max_changes), rule, utc_now())
        _show_rehearsal(rehearsal)
    finally:
        engine.dispose()


def _run_sweep(sweeper: Any, rule: str, yes: bool) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(rule), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    sweep_id = sweeper.start(rule, _operator().name)
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(rule, total=None)

        def show(view: Any) -> None:
            bar.update(task, total=view.matching, completed=view.seen)

        view = sweeper.finish(sweep_id, show, approves_as=_operator().name if yes else None)
    _show_funnel(view.funnel)
    if view.state == "braked":
        fail(
            f"Stopped before anything changed: {view.matching:,} is more than a sweep changes by itself."
            f" Go on with `leadflow sweep {rule} --yes`, or by “run anyway” on the page of sweep {sweep_id}.",
            1,
        )
    if view.state != "done":
        fail(f"Sweep {sweep_id} is {view.state}: {view.error or 'another process works on it'}", 1)
    click.echo(f"Sweep {sweep_id}: {view.changed:,} changed.")


def _show_funnel(funnel: Any) -> None:
    width = max((len(f"{line.records:,}") for line in funnel), default=0)
    for line in funnel:
        click.echo(f"{line.records:>{width},}  {line.what}")


def _show_rehearsal(rehearsal: Any) -> None:
    _show_funnel(rehearsal.funnel)
    for sample in rehearsal.samples:
        about = f"contact {sample.contact_id}" if sample.contact_id else f"company {sample.company_id}"
        changes = ", ".join(f"{one['field']}: {one['old']} → {one['new']}" for one in sample.changes)
        click.echo(f"  {about}: {changes}")
    click.echo(f"{rehearsal.matching:,} would be changed; nothing was.")
    if rehearsal.is_braked:
        fail(f"The brake would stop it: more than {rehearsal.max_changes:,} need a person's word.", 1)


# -- why ---------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--company", help="Id or domain.")
@click.option("--contact", help="Id or e-mail address.")
@click.option("--event", type=int, help="Id.")
@click.option("--rule", help="Only this rule.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 200), help="How many events.")
@data_option
@reports_errors
def explain(
    company: str | None, contact: str | None, event: int | None, rule: str | None, limit: int, data: Path
) -> None:
    """Why rules did or did not act on a company, a contact or an event.

    With --rule and a company or contact also what that rule would do now, and what is missing if it would not act.
    """
    from leadflow.services.explain import explain_event
    from leadflow.store import reads

    if [company, contact, event].count(None) != 2:
        fail("Name one of --company, --contact and --event.")
    with _connected(data) as connection:
        if event is None and rule is not None:
            _explain_rule(connection, rule, _company_id(connection, company), _contact_id(connection, contact))
        if event is not None:
            found = [reads.event(connection, event)]
        else:
            wanted = reads.EventFilter(
                company_id=_company_id(connection, company), contact_id=_contact_id(connection, contact)
            )
            found = reads.events(connection, wanted, limit=limit).items
        for one in found:
            click.echo("\n".join(explain_event(one, rule)))
        if not found:
            click.echo("No event is known of it.")


def _explain_rule(connection: Connection, rule: str, company_id: int | None, contact_id: int | None) -> None:
    """What the rule would do for the record if its trigger occurred now."""
    from leadflow.rules.parsing import parse_documents
    from leadflow.services.explanation_lines import explanation_lines
    from leadflow.services.explanations import explain_live_rule
    from leadflow.services.rule_sets import live_documents
    from leadflow.store.lists import read_lists
    from leadflow.tasks.draining import utc_now

    lists = read_lists(connection)
    rule_set = parse_documents(live_documents(connection)[1], lists.catalogue, with_tests=False).rule_set
    found = explain_live_rule(connection, lists, rule_set, rule, company_id, contact_id, utc_now())
    click.echo("\n".join(explanation_lines(found)))


def _company_id(connection: Connection, text: str | None) -> int | None:
    from leadflow.store.records import find_companies_by_domain

    if text is None or text.isdigit():
        return None if text is None else int(text)
    found = find_companies_by_domain(connection, [text.strip().lower()]).get(text.strip().lower())
    return found if found is not None else fail(f"There is no company with the domain {text}.", 1)


def _contact_id(connection: Connection, text: str | None) -> int | None:
    from leadflow.store.records import find_contacts_by_email

    if text is None or text.isdigit():
        return None if text is None else int(text)
    found = find_contacts_by_email(connection, [text.strip().casefold()]).get(text.strip().casefold())
    return found[0] if found else fail(f"There is no contact with the address {text}.", 1)


# -- people and keys ---------------------------------------------------------------------------------------------------


role_option = click.option("--role", type=click.Choice(["viewer", "editor", "admin"]), required=True)


@main.group()
def users() -> None:
    """People who sign in."""


@users.command("add")
@click.argument("email")
@click.option("--name", required=True)
@role_option
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="At least 12 characters.")
@data_option
@reports_errors
def users_add(email: str, name: str, role: str, password: str, data: Path) -> None:
    """An account with a password."""
    from leadflow.services.access import Role, create_account
    from leadflow.tasks.draining import utc_now

    with _connected(data) as connection:
        create_account(connection, email, name, Role(role), utc_now(), password)
    click.echo(f"{email} can sign in as {role}.")


@users.command("link")
@click.argument("email")
@click.option(
    "--address", default="http://127.0.0.1:8000", show_default=True, help="Where people reach the web server."
)
@data_option
@reports_errors
def users_link(email: str, address: str, data: Path) -> None:
    """A link that signs an account in once, within a day, and lets its owner choose a new password."""
    from leadflow.services.accounts import find_account, make_reset_link
    from leadflow.tasks.draining import utc_now

    with _connected(data) as connection:
        token = make_reset_link(connection, find_account(connection, email).id, utc_now())
    click.echo(f"{address.rstrip('/')}/sign-in/link/{token}")


@main.group("api-keys")
def api_keys() -> None:
    """Keys for programs."""


@api_keys.command("create")
@role_option
@click.option("--name", required=True)
@click.option("--acts-as", type=click.Choice(["automation", "person"]), default="automation", show_default=True,
              help="A key that acts as automation is bound by the no-downgrade guard.")  # fmt: skip
@data_option
@reports_errors
def api_keys_create(role: str, name: str, acts_as: str, data: Path) -> None:
    """A new key; it is shown once."""
    from leadflow.services.access import Role, create_key
    from leadflow.tasks.draining import utc_now

    with _connected(data) as connection:
        key = create_key(
            connection, name, Role(role), utc_now(), acts_as="person" if acts_as == "person" else "automation"
        )
    click.echo(key)


# -- health ------------------------------------------------------------------------------------------------------------


@main.command()
@data_option
@reports_errors
def doctor(data: Path) -> None:
    """Database, broker, worker, scheduler, clock, configuration: what is wrong and how to mend it."""
    from leadflow.services.checking import Finding, diagnose
    from leadflow.services.configuration import read_configuration
    from leadflow.tasks.draining import utc_now

    settings, folder = _settings()
    read_configuration(folder)
    findings = [Finding("configuration", True, f"{folder} and LEADFLOW_… are fine")]
    try:
        with _transaction(_database_url(settings, data)) as connection:
            findings += [Finding("database", True, "answers"), *diagnose(connection, utc_now())]
    except OperationalError as error:
        remedy = "Start the database, or correct LEADFLOW_DATABASE_URL."
        findings.append(Finding("database", False, str(error.orig).strip(), remedy))
    if settings.broker_url:
        findings.append(_check_broker(settings))
    _report(findings)


def _check_broker(settings: Settings) -> Any:
    from leadflow.services.checking import Finding
    from leadflow.tasks.app import make_celery

    app = make_celery(settings.required_broker_url, settings.queue, publishes_only=True)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # noqa: BLE001 - whatever a broker client raises
        remedy = "Start the broker, or correct LEADFLOW_BROKER_URL. Until then events are stored and wait."
        return Finding("broker", False, f"does not answer: {type(error).__name__}", remedy)
    return Finding("broker", True, "answers")


if __name__ == "__main__":
    sys.exit(main())
