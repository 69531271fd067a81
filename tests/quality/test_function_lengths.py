import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("function_lengths.py")


def check_a_function_of(lines: int, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "module.py").write_text("def short():\n    pass\n\n\ndef story():\n" + "    pass\n" * (lines - 1))
    return subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)


def test_a_function_as_long_as_a_screen_passes(tmp_path):
    done = check_a_function_of(60, tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("2 functions: median 31 lines, 95th percentile 60, longest 60")


def test_a_longer_function_fails_and_is_named_with_its_place(tmp_path):
    done = check_a_function_of(61, tmp_path)

    assert done.returncode == 1
    assert f"{tmp_path / 'module.py'}:5: story has 61 lines" in done.stdout
