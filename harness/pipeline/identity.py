"""What the result of a job depends on, derived: the code that its kind imports, also in functions, its packages."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from harness.models.loading import model_digest, tokenizer_digest
from harness.models.spec import ModelSpec
from harness.spec import digest

ROOT = Path(__file__).parent.parent  # the folder of the package
_NEVER = ("harness.view", "harness.cli")  # no result depends on them


def code_of(module: str, more: Iterable[Path] = ()) -> tuple[str, dict[str, str]]:
    """Digest of all source files that a module of harness may run, with ``more``, and versions of their packages."""
    texts = {name: file.read_bytes() for name, file in closure(module, more).items()}
    packages = sorted({package for text in texts.values() for package in _parsed(text)[1]})
    return digest({name: text.decode("latin-1") for name, text in texts.items()}), {
        name: version(name) for name in packages
    }


def closure(module: str, more: Iterable[Path] = ()) -> dict[str, Path]:
    """Source files by module: ``module``, all that it imports of harness; all of a package that finds its modules."""
    files = {f"{source.parent.name}/{source.name}": source for source in more}
    waiting = [module, *(name for source in files.values() for name in _parsed(source.read_bytes())[0])]
    asked = set()
    while waiting:
        name = waiting.pop()
        file = None if name in asked or name.startswith(_NEVER) else _source(name)
        if file is None:
            continue
        asked.add(name)
        if b"iter_modules(__path__)" in file.read_bytes():
            waiting += [f"{name}.{each.stem}" for each in file.parent.glob("*.py") if each != file]
        while name and name not in files and (file := _source(name)):  # Python runs the packages around a module, too
            files[name] = file
            waiting += _parsed(file.read_bytes())[0]
            name = name.rpartition(".")[0]
    return files


@lru_cache(maxsize=1024)
def _parsed(text: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a source file may import of harness, and the packages that its constant PACKAGES names."""
    tree = ast.parse(text)
    constants = (node for node in tree.body if isinstance(node, ast.Assign))
    named = [node.value for node in constants if "PACKAGES" in map(ast.unparse, node.targets)]
    return tuple(_imports(tree)), tuple(ast.literal_eval(named[-1])) if named else ()


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("harness"))
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
        yield str(node.module)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)  # each may be a module
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def _source(module: str) -> Path | None:
    """The file of a module; None for a name in a module, and for what is not of this package."""
    place = ROOT.joinpath(*module.split(".")[1:])
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def model_identity(role: str, model: ModelSpec) -> str:
    """What a result depends on: the weights and what serves them, or the vocabulary alone. No address counts."""
    if role == "tokenizer":
        return tokenizer_digest(model.tokenizer or model.model)
    weights, defaults = model_digest(model.model), type(model)(model=model.model).identity()
    special = {key: value for key, value in model.identity().items() if value != defaults[key]}
    return f"{weights} {digest(special)}" if special else weights
