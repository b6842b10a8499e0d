"""Every module imports only from floors below its own, and no modules import each other in a circle. Imports inside
functions count as well."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pano_sound"

FLOORS = [
    {"errors", "sphere"},
    {"encoders", "presence", "atomic_file", "spool"},
    {"options", "constraints"},
    {"soundmap", "camera_path"},
    {"media", "localize", "camera"},
    {"visualize"},
    {"pipeline"},
    {"__init__", "library"},
    {"research"},
    {"commands"},
    {"__main__"},
]
"""From the bottom up. Packages of one layer do not import each other, except `library`, which uses the public names."""


def modules() -> dict[str, Path]:
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}


def imports(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a module imports, typing aside."""
    found = set()
    package = name.split(".")[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or id(node) in typing_only:
            continue
        base = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
        for alias in node.names:
            for target in (".".join([*base, alias.name]), ".".join(base), ".".join([*base, "__init__"])):
                if target in known:
                    found.add(target)
                    break
    return found - {name}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    assert len(known) > 150
    found = {name: imports(name, file, known) for name, file in known.items()}
    assert {"media.probe", "options.input"} <= found["pipeline.film"]
    return found


def floor(name: str) -> int:
    (found,) = (i for i, rooms in enumerate(FLOORS) if name.split(".")[0] in rooms)
    return found


def test_nothing_imports_upwards(graph):
    def room(name: str) -> str:
        return name.split(".")[0]

    wrong = [
        f"{name} -> {target}"
        for name, targets in graph.items()
        for target in targets
        if room(name) != room(target) and target != "__init__" and floor(target) >= floor(name)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle(graph):
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
