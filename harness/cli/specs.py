"""Command-line options made from the fields of specs, so that a knob is declared once, in its room.

``with_specs`` turns every parameter of a command that is annotated with a Spec into one option a field.
``Annotated[SomeSpec, Options(panel="Critic", skip=("seed",))]`` changes where and which; the rest keep their defaults.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ValidationError
from typer import Option

from harness.errors import Usage, nearest
from harness.files import reason_of
from harness.spec import Spec

_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a spec appears on a command line. ``only``: the fields offered (default: all), ``skip``: those that are not.

    ``defaults``: values in the place of the fields' own, by field.
    """

    panel: str = ""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)


def with_specs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with its specs spread out as options; it receives them validated. Raises Usage."""
    hints = typing.get_type_hints(command, include_extras=True)
    plain: list[inspect.Parameter] = []
    groups: dict[str, tuple[type[Spec], Options, list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind, options = _spec_of(hints[name])
        if kind is None:
            plain.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        offered = [f for f in (options.only or kind.model_fields) if f not in options.skip and _names(kind, f) != ["-"]]
        groups[name] = (kind, options, offered)
        plain += [_parameter(name, kind, options, each) for each in offered]

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        for name, (kind, options, offered) in groups.items():
            values = {each: given.pop(f"{name}__{each}") for each in offered}
            given[name] = _built(kind, options, values)
        return command(**given)

    run.__signature__ = inspect.Signature(sorted(plain, key=lambda p: p.default is not _EMPTY))  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in plain}
    return run


def _spec_of(hint: Any) -> tuple[type[Spec] | None, Options]:
    options = Options()
    if typing.get_origin(hint) is Annotated:
        hint, *extras = typing.get_args(hint)
        options = next((each for each in extras if isinstance(each, Options)), options)
    return (hint, options) if isinstance(hint, type) and issubclass(hint, Spec) else (None, options)


def _names(kind: type[Spec], name: str) -> list[str]:
    """The options of a field, as a user types them."""
    extra = kind.model_fields[name].json_schema_extra
    names = str(extra.get("option") or "") if isinstance(extra, dict) else ""
    return names.split(",") if names else [f"--{name.replace('_', '-')}"]


def _parameter(group: str, kind: type[Spec], options: Options, name: str) -> inspect.Parameter:
    info, names = kind.model_fields[name], _names(kind, name)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    default = options.defaults.get(name, _EMPTY if info.is_required() else info.get_default(call_default_factory=True))
    inner = shown = _without_none(info.annotation)
    choices = _choices(inner)
    if extra.get("repeated"):
        shown = inner
    elif typing.get_origin(inner) in (list, tuple):  # one string on the command line
        shown = str
        default = default if default in (_EMPTY, None) else " ".join(map(str, default))
    elif choices:
        shown = str
    elif info.annotation is bool and len(names) == 1 and "/" not in names[0] and default:
        names = [f"{names[0]}/--no-{names[0].removeprefix('--')}"]
    # The default stands in the text: in a column of its own line, help of many options fills screens.
    shown_default = (
        "" if default is _EMPTY or default in (None, "", []) or isinstance(default, bool) else f" ({default})"
    )
    text = (info.description or "").rstrip(".") + (f": {', '.join(choices)}" if choices else "") + shown_default + "."
    hidden, panel = bool(extra.get("hidden", False)), options.panel or None
    settings = Option(*names, help=text, rich_help_panel=panel, hidden=hidden, show_default=False)
    shown = shown | None if type(None) in typing.get_args(info.annotation) else shown
    return inspect.Parameter(
        f"{group}__{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[shown, settings]
    )


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(each for each in typing.get_args(annotation) if each is not type(None))
    return annotation


def _choices(inner: Any) -> tuple[str, ...]:
    return typing.get_args(inner) if typing.get_origin(inner) is Literal else ()


def _built(kind: type[Spec], options: Options, values: dict[str, Any]) -> Spec:
    for name, value in values.items():
        inner, label = _without_none(kind.model_fields[name].annotation), _names(kind, name)[0]
        choices = _choices(inner)
        if choices and value is not None and value not in choices:
            raise Usage(f"{label} {value}: use {', '.join(choices)}{nearest(str(value), choices)}")
        if typing.get_origin(inner) in (list, tuple) and isinstance(value, str):
            try:
                values[name] = shlex.split(value)
            except ValueError as error:
                raise Usage(f"{label} {value!r}: {error}") from None
    try:
        return kind(**{**options.defaults, **values})
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] and str(first["loc"][0]) in values:
            raise Usage(f"{_names(kind, str(first['loc'][0]))[0]}: {first['msg']}") from None
        raise Usage(reason_of(error)) from None
