from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOISY = """
import os
os.write(2, b"a start-up line\\n")
value = 7
"""


@pytest.fixture
def noisy_tensorflow(tmp_path: Path) -> Path:
    """A folder with a module called tensorflow that prints past Python while it loads, as the real one does."""
    (tmp_path / "tensorflow.py").write_text(NOISY)
    return tmp_path


def load(folder: Path, level: str | None, then: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    code = f"""
import os, sys
from textseq.quiet_tensorflow import quiet_tensorflow
sys.path.insert(0, {str(folder)!r})
quiet_tensorflow()
quiet_tensorflow()
before = list(sys.meta_path)
import tensorflow
print(tensorflow.value, os.environ["TF_CPP_MIN_LOG_LEVEL"], len(before) - len(sys.meta_path), tensorflow.__name__)
{then}
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("level", "printed", "said"),
    [
        (None, "7 3 1 tensorflow\n", ""),
        ("2", "7 2 1 tensorflow\n", ""),
        ("0", "7 0 0 tensorflow\n", "a start-up line\n"),
        ("1", "7 1 0 tensorflow\n", "a start-up line\n"),
    ],
)
def test_start_up_lines_are_shown_on_request_only(
    noisy_tensorflow: Path, level: str | None, printed: str, said: str
) -> None:
    done = load(noisy_tensorflow, level)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, said)


def test_what_comes_after_the_import_is_shown(noisy_tensorflow: Path) -> None:
    assert load(noisy_tensorflow, None, "os.write(2, b'later')").stderr == "later"


def test_a_failing_import_shows_everything(noisy_tensorflow: Path) -> None:
    with open(noisy_tensorflow / "tensorflow.py", "a") as file:
        file.write("raise ImportError('libcuda is missing')\n")
    done = load(noisy_tensorflow, None)
    assert done.returncode == 1
    assert done.stderr.startswith("a start-up line\nTraceback")
    assert "ImportError: libcuda is missing" in done.stderr


def test_no_tensorflow_is_an_ordinary_import_error(tmp_path: Path) -> None:
    code = """
import sys
from textseq.quiet_tensorflow import quiet_tensorflow
quiet_tensorflow()
sys.path[:] = []
import tensorflow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={})
    assert "ModuleNotFoundError: No module named 'tensorflow'" in done.stderr
