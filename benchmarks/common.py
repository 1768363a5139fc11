"""What all benchmarks share: temporary folders, child processes, medians, and how a figure is printed."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
HERE: Final = ROOT / "benchmarks"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="privacy-benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path) -> dict[str, str]:
    """Return the settings of our package in a folder: all as it comes, with a secret so that none has to be made."""
    return {"database_url": f"sqlite:///{folder}/privacy.db", "secret_keys": "0" * 40}


def environment(**values: str) -> dict[str, str]:
    """Return an environment for a child: ours without PRIVACY_* variables, the benchmarks importable, hashes not random."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRIVACY_")}
    paths = [str(HERE), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(paths)} | values


def run(arguments: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed; its complaints are shown if it fails."""
    done = subprocess.run([str(a) for a in arguments], cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def python(script: Path, *arguments: str | int | Path) -> str:
    """Run one of our scripts in a fresh interpreter."""
    return run([sys.executable, script, *map(str, arguments)])


def needs(program: str) -> None:
    """End with a clear line if a program is not installed."""
    if shutil.which(program) is None:
        sys.exit(f"{program} is not installed: apt-get install {program}")


def is_installed(module: str) -> bool:
    """Tell whether an optional module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def median(values: Sequence[float]) -> float:
    """Return the median; this machine is noisy, and a mean would follow its worst moment."""
    return statistics.median(values)


def line(label: str, figure: str, remark: str = "") -> None:
    """Print one result, aligned with the others."""
    print(f"{label:<38} {figure:>14}  {remark}".rstrip(), flush=True)
