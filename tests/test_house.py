"""The arrows between modules, read from their imports."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import layouts

ROOT = Path(layouts.__file__).parent
# What plans, prints or arranges works on labels, sizes and text: no JAX, not even through others.
PURE = [
    "algebra",
    "axes",
    "balancing",
    "chains.bracketing",
    "composing",
    "mesh.communication",
    "conventions",
    "crowding",
    "derivation.folding",
    "derivation.outline",
    "derivation.page",
    "derivation.steps",
    "mesh.dividing",
    "errors",
    "mesh.exchanges",
    "extract",
    "following",
    "fusing",
    "formulas.tree",
    "graph",
    "nodes",
    "products",
    "program",
    "selection",
    "mesh.shareable",
    "mesh.steps",
    "sparsity",
    "symmetry",
    "terms",
    "mesh.ways",
    "plan",
    "show",
]
READERS = {
    "layouts.folding",
    "layouts.reader",
    "layouts.walking",
    "layouts.counting",
    "layouts.custom_rules",
    "layouts.derivation.tracing",
    "layouts.doctor.primal",
    "layouts.doctor.listing",
    "layouts.mesh.evaluating",
    "layouts.naming.decomposing",
    "layouts.naming.guards",
    "layouts.naming.paper",
    "layouts.naming.pooling",
    "layouts.naming.reading",
    "layouts.naming.running",
    "layouts.naming.slicing",
    "layouts.naming.sorting",
    "layouts.naming.step",
    "layouts.naming.triangles",
    "layouts.naming.units",
    "layouts.naming.windows",
    "layouts.tracing",
    "layouts.streaming.identity",
}


def name_of(path):
    parts = ("layouts", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports(module):
    """Every module that a module names in an import, inside functions too."""
    found = set()
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in MODULES else base)
                if base in {"jax", "jax.extend"}:
                    found.add(whole)
    return found


def reached(module):
    """A module and the modules of this package that it imports, at any distance."""
    seen, frontier = {module}, [module]
    while frontier:
        for other in imports(frontier.pop()) & MODULES.keys() - seen:
            seen.add(other)
            frontier.append(other)
    return seen


def of_jax(names):
    return {n for n in names if n.split(".")[0] in {"jax", "jaxlib", "jaxtyping"}}


def pure_modules():
    return [
        name
        for name in MODULES
        if any(name == f"layouts.{part}" or name.startswith(f"layouts.{part}.") for part in PURE)
    ]


def test_the_reader_of_imports_sees_imports():
    assert "layouts.plan.orders" in imports("layouts.plan.plan")
    assert {"jax", "jax.extend.core", "layouts.rules"} <= imports("layouts.reader")
    assert of_jax(imports("layouts.evaluate"))
    assert "layouts.axes" in reached("layouts.plan")
    assert all(any(name.startswith(f"layouts.{part}") for name in pure_modules()) for part in PURE)


@pytest.mark.parametrize("module", pure_modules())
def test_planning_printing_and_arranging_know_no_jax(module):
    for name in reached(module):
        assert not of_jax(imports(name)), f"{module} reaches {name}, which imports JAX"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_readers_touch_jaxprs(module):
    if module in READERS or module.startswith("layouts.rules"):
        return
    names = of_jax(imports(module))
    assert not {n for n in names if n.startswith(("jax.extend", "jax.core", "jax.interpreters"))}
    tree = ast.parse(MODULES[module].read_text())
    fields = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not {"eqns", "invars", "outvars", "constvars"} & fields


@pytest.mark.parametrize("module", sorted(MODULES))
def test_jax_is_used_by_its_public_names(module):
    for name in imports(module):
        assert not name.startswith(("jax._src", "jaxlib")), name
    assert "jax._src" not in MODULES[module].read_text()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_imports_the_faces(module):
    faces = {"layouts.cli", "layouts.__main__", "layouts.explorer"}
    own = {f for f in faces if module == f or module.startswith(f"{f}.")}
    # `layouts serve` and `layouts.explore` are doors to the explorer, and there is no other.
    doors = {"layouts": "layouts.explorer.notebook", "layouts.cli": "layouts.explorer.serving"}
    if module != "layouts.__main__":
        named = imports(module) - {doors.get(module)}
        assert not {n for n in named for f in faces - own if n == f or n.startswith(f"{f}.")}
    assert not {n for n in imports(module) if n.split(".")[0] in {"experiments", "tests"}}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"layouts"}))
def test_no_module_imports_the_package_face(module):
    """`layouts` itself is for users; inside, modules import each other by name."""
    if module not in {"layouts.cli", "layouts.__main__"}:
        tree = ast.parse(MODULES[module].read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert "layouts" not in {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module == "layouts":
                assert all(f"layouts.{alias.name}" in MODULES for alias in node.names)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"layouts"}))
def test_no_module_imports_itself_in_a_circle(module):
    for name in reached(module) - {module}:
        below = name.startswith(f"{module}.") or module.startswith(f"{name}.")
        assert below or module not in imports(name), f"{module} and {name} import each other"


def test_only_core_dependencies_are_imported():
    allowed = {"jax", "numpy", "opt_einsum", "jaxtyping", "rich", "layouts"}
    extras = {
        "layouts.explorer.server": {"starlette"},
        "layouts.explorer.serving": {"uvicorn"},
    }
    for module in MODULES:
        roots = {name.split(".")[0] for name in imports(module)} - extras.get(module, set())
        assert roots - allowed <= set(sys.stdlib_module_names), module


def test_importing_layouts_starts_no_server():
    code = "import layouts, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    roots = {name.split(".")[0] for name in run.stdout.split()}
    assert "layouts" in roots
    assert not {"starlette", "uvicorn", "anywidget", "traitlets"} & roots
    assert "layouts.explorer.payload" not in run.stdout.split()


def test_the_public_names_are_there():
    for name in layouts.__all__:
        assert getattr(layouts, name) is not None
    promised = {
        "jacobian",
        "hessian",
        "cost",
        "Jacobian",
        "Layout",
        "Convention",
        "TEXTBOOKS",
        "Plan",
    }
    promised |= {"LayoutError", "arrange", "read", "convert", "identify", "chain", "chains"}
    assert promised <= set(layouts.__all__)
