"""Imports point down only, and modules keep to one idea."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "privacy_middleware"
LAYERS = [
    {"errors"},
    {"language", "forms", "waiting", "spreadsheet", "values"},
    {"settings", "declaration"},
    {"collect", "mail", "webhook"},
    {"store", "vault", "secret"},
    {"record"},
    {"statement", "statistics", "sources"},
    {"rights", "access"},
    {"privacy"},
    {"routes", "capture", "problems", "checks", "truth"},
    {"watch", "wsgi_watch", "adapter"},
    {"wsgi_site"},
    {"asgi", "wsgi", "site", "cli"},
    {"frameworks", "django"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The layers that a module imports, lazily or not."""
    package = ("privacy_middleware", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            parts = [*base, *(node.module.split(".") if node.module else [])]
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {name for name in found if name in LEVEL}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path) -> None:
    layer = layer_of(path)
    for other in imported(path) - {layer}:
        # The adapters build the site at first use; both stand at the top.
        assert LEVEL[other] < LEVEL[layer] or (layer, other) in (("asgi", "site"), ("wsgi", "site"), ("wsgi", "asgi")), (
            f"{layer} imports {other}"
        )


@pytest.mark.parametrize(
    "layer", ["collect", "store", "vault", "declaration", "forms", "settings", "errors", "record", "rights", "sources", "mail"]
)
def test_the_lower_layers_do_not_know_starlette(layer: str) -> None:
    for path in MODULES:
        if layer_of(path) == layer:
            assert "starlette" not in path.read_text().lower().replace("starlette's", "").replace("starlette and", ""), path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_opens_with_a_sentence_and_is_no_longer_than_a_reader_bears(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) < 500


def test_only_settings_reads_the_environment() -> None:
    assert [path.name for path in MODULES if "os.environ" in path.read_text()] == ["settings.py"]


def test_sql_stands_in_queries_only() -> None:
    for path in MODULES:
        text = path.read_text()
        if path.name not in (
            "queries.py",
            "statistics_queries.py",
            "service_queries.py",
            "access_queries.py",
            "truth_queries.py",
            "transfer_queries.py",
            "sqlite.py",
            "postgres.py",
        ):
            assert "SELECT " not in text, path
            assert "INSERT " not in text, path
