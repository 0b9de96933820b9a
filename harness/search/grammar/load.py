"""Grammars by name or path: shipped with the project, or a YAML file of the user's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from harness.errors import GrammarError
from harness.files import read_text
from harness.search.grammar.defects import defects
from harness.search.grammar.schema import Grammar


def shipped() -> list[str]:
    folder = resources.files("harness.search.grammar") / "shipped"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def source(name: str) -> str:
    """The YAML text of a shipped grammar by name, or of one of the user's by path. Raises GrammarError and BadFile."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise GrammarError(f"{name}: no such file")
        return read_text(path)
    if name not in shipped():
        raise GrammarError(f"no grammar {name!r}; shipped: {', '.join(shipped())}; or give a path ending in .yaml")
    return (resources.files("harness.search.grammar") / "shipped" / f"{name}.yaml").read_text()


def parse(name: str, text: str) -> Grammar:
    """The grammar that ``text`` describes, without a look at whether it can be searched. Raises GrammarError."""
    import yaml

    try:
        return Grammar.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise GrammarError(f"{name}: " + "; ".join(lines)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise GrammarError(f"{name}: not YAML: {' '.join(str(error).split())[:200]}") from None


def load(name: str) -> Grammar:
    """A shipped grammar by name, or one of the user's by path. Raises GrammarError naming every defect."""
    grammar = parse(name, source(name))
    problems = defects(grammar)
    if problems:
        raise GrammarError(f"{name}: " + "; ".join(problems))
    return grammar
