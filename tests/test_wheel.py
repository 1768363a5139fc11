"""The built wheel holds everything that the package needs, and works where nothing else is installed."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
from starlette.testclient import TestClient
from privacy_middleware import PrivacyMiddleware
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body"})
client = TestClient(PrivacyMiddleware(app))
client.get("/page")
assert "Privacy statement" in client.get("/privacy/").text
assert "font" in client.get("/privacy/style.css").text
print("works")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_what_the_checkout_holds_and_no_more(wheel: Path) -> None:
    package = ROOT / "privacy_middleware"
    ours = {
        f"privacy_middleware/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours


def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel), "httpx2"], check=True, capture_output=True)
    done = subprocess.run([python, "-W", "error", "-c", SCRIPT], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "works\n"
    subprocess.run([tmp_path / "venv" / "bin" / "privacy-middleware", "status"], check=False, capture_output=True, cwd=tmp_path)
