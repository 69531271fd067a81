"""What has to hold for the repository as a whole: cheap to check, easy to break unnoticed."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
VENDOR = ROOT / "leadflow/web/static/vendor"
LOCK_FILES = ["requirements.lock", "requirements-dev.lock"]
PINNED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)", re.MULTILINE)


def files_of_the_repository() -> list[Path]:
    """Every file that is committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_files() -> list[tuple[Path, str]]:
    readable = []
    for path in files_of_the_repository():
        try:
            readable.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return readable


def lines_matching(pattern: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def run_tool(*command: str) -> None:
    done = subprocess.run(
        [str(TOOLS / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_names_a_package_registry():
    hosts = r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)"
    assert lines_matching(rf'{hosts}|https?://[^\s")]*(/simple/|/packages/|registry\.|-registry|mirror)') == []


def test_no_file_names_a_folder_of_somebodys_machine():
    assert lines_matching(r"(^|[^A-Za-z0-9_.])/(root|work|farm|Users|home)/[A-Za-z.]") == []


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_package_in_a_lock_file_has_hashes_and_no_address(name):
    requirements = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())

    assert [text.splitlines()[0] for text in requirements if "--hash=sha256:" not in text] == []
    assert [text.splitlines()[0] for text in requirements if re.search(r"://|^-|--index| @ ", text)] == []


@pytest.mark.parametrize(("name", "groups"), [(LOCK_FILES[0], ["build"]), (LOCK_FILES[1], ["build", "dev"])])
def test_a_lock_file_satisfies_pyproject(name, groups):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = dict(PINNED.findall((ROOT / name).read_text()))
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["redis"]
    wanted += [entry for group in groups for entry in project["dependency-groups"][group] if isinstance(entry, str)]

    unmet = [text for text in wanted if not is_met(Requirement(text), locked)]

    assert unmet == [], f"run `make lock`: {name} does not satisfy {unmet}"


def is_met(requirement: Requirement, locked: dict[str, str]) -> bool:
    version = locked.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version)


def test_the_two_lock_files_agree():
    runtime, development = (set(PINNED.findall((ROOT / name).read_text())) for name in LOCK_FILES)

    assert runtime - development == set()


def test_errors_and_domain_import_only_the_standard_library():
    allowed = sys.stdlib_module_names | {"leadflow"}
    core = [ROOT / "leadflow/errors.py", *sorted((ROOT / "leadflow/domain").rglob("*.py"))]

    others = [f"{path.relative_to(ROOT)}: {name}" for path in core for name in imports_of(path) if name not in allowed]

    assert others == []


def imports_of(path: Path) -> set[str]:
    """The first part of every absolute import in `path`."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | names}


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert [str(path) for path in files_of_the_repository() if path.stem in drawers] == []


def test_the_compose_file_is_valid():
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_dockerfile_is_sound():
    run_tool("hadolint", "Dockerfile")


def test_no_served_file_points_to_a_source_map_that_is_not_there():
    dangling = [path.name for path in VENDOR.iterdir() if re.search(r"[#@] sourceMappingURL=", path.read_text())]
    assert dangling == []


def test_every_served_third_party_file_has_its_licence():
    licences = (VENDOR / "LICENSES.md").read_text()
    assert [path.name for path in VENDOR.iterdir() if path.suffix != ".md" and f"`{path.name}`" not in licences] == []


def test_a_wheel_holds_the_whole_package_and_the_configuration(tmp_path):
    run_tool("python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    names = [path.relative_to(ROOT).as_posix() for path in files_of_the_repository()]
    # What the bundles of the screens are made of stays with the developers.
    package = {name for name in names if name.startswith("leadflow/") and not name.startswith("leadflow/web/assets/")}
    configuration = {f"leadflow/_config/{name[len('config/') :]}" for name in names if name.startswith("config/")}
    assert packed == package | configuration
    assert configuration
