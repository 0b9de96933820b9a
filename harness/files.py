"""Files that a user named, whose faults become one line with the file's name; and those that come with the project."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import BadFile, NotWritten

_Model = TypeVar("_Model", bound=BaseModel)
_PACKAGE = Path(__file__).parent
# Inside the wheel these stand in the package, in a checkout elsewhere beside it.
_CHECKOUT = {"reference": "results/reference", "rates.json": "results/rates.json"}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Turn system errors about ``path`` into NotWritten (no room, a failing disk) or BadFile, naming the file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason, name = error.strerror or str(error), error.filename or path
        if error.errno in _NO_ROOM:
            raise NotWritten(f"{name}: {reason}; make room, and the same command goes on from what is kept") from error
        raise BadFile(f"{name}: {reason}") from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises BadFile."""
    with about(path):
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"{path}: not UTF-8 ({error})") from None


def file_digest(path: Path, length: int = 16) -> str:
    """A short digest of a file's content, read piece by piece. Raises BadFile."""
    with about(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


def read_json(path: Path, hint: str = "") -> Any:
    """The content of a JSON file. Raises BadFile; ``hint`` says how to mend it."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{path}: not JSON ({str(error)[:100]}){hint and f'; {hint}'}") from None


def read_record(path: Path, model: type[_Model], hint: str = "", unnumbered: int = 0) -> _Model:
    """A record that this project wrote as JSON. Raises BadFile for anything else, records of other versions included.

    ``hint`` says how to mend it. A model with a field ``schema_version`` is read in that version alone;
    ``unnumbered`` is the version of records without a number.
    """
    data, end = read_json(path, hint), hint and f"; {hint}"
    version = model.model_fields.get("schema_version")
    if version and isinstance(data, dict) and (number := data.get("schema_version", unnumbered)) != version.default:
        other = f"schema {number}, this one reads {version.default}"
        raise BadFile(f"{path}: written by another version of harness ({other}){end}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadFile(f"{path}: {reason_of(error)}{end}") from None


def shipped(name: str) -> Path:
    """The shipped folder or file ``name``: tasks, recipes, reference (published rows) or rates.json."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / _CHECKOUT.get(name, name)


def published_rows(name: str = "marco_o1_v2.table5") -> dict[str, Any]:
    """A published table as data: ``rows`` by arm and task, in percent."""
    return dict(read_json(shipped("reference") / f"{name}.json"))


def reason_of(error: ValidationError) -> str:
    """The first finding of a validation in words: where, what."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])
