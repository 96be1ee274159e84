"""A YAML tree and a pydantic model -> the checked object, or problems with lines.

Knows: pydantic's errors, and how to say them to the person who edits the file.  Does not know:
any particular file.
Theory: pydantic names the place of an error as a path of keys; the tree knows the line of each
key; the model knows what would have been allowed.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, TypeVar

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from resolver.config.yamlsource import Value, YamlMapping, YamlSequence
from resolver.problems import Findings, show, suggest


class Section(BaseModel):
    """A mapping with known keys: unknown ones are errors, and nothing is coerced or changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    alias: str | None = None,
    applies: str = "at the next start",
    allowed: str | None = None,
) -> Any:
    """Declare a key: its meaning, unit, range, default, and when a change takes effect.

    `default` of `...` means the key must be there.  `allowed` replaces the derived description.
    """
    notes = {"unit": unit, "applies": applies, "allowed": allowed}
    return Field(
        default=default,
        ge=least,
        le=most,
        alias=alias,
        description=doc,
        json_schema_extra={name: note for name, note in notes.items() if note},
    )


def text_setting(
    default: Any, doc: str, *, longest: int, alias: str | None = None, applies: str = "at the next start"
) -> Any:
    """Declare a key whose value is text of 1 to `longest` characters."""
    return Field(
        default=default,
        min_length=1,
        max_length=longest,
        alias=alias,
        description=doc,
        json_schema_extra={"applies": applies},
    )


def build_section(
    model: type[Model],
    tree: Value,
    findings: Findings,
    *,
    line: int,
    where: str = "",
    opaque: frozenset[str] = frozenset(),
    context: dict[str, Any] | None = None,
) -> Model | None:
    """Check `tree` against `model`; None when findings got errors.

    `where` is the path of keys that leads here, `line` is reported when `tree` is no mapping at all.
    Values under `opaque` keys are handed over as they are in the tree; `context` is pydantic's.
    """
    if not isinstance(tree, YamlMapping):
        said = f"{where or 'the file'}: {show_value(tree)} is not allowed; allowed: a mapping (key: value)"
        findings.error(line, said + _colon_hint(tree, model))
        return None
    plain = {key: value if key in opaque else to_plain(value) for key, value in tree.items.items()}
    try:
        return model.model_validate(plain, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _report(details, model, tree, findings, line=line, where=where)
        return None


def to_plain(value: Value) -> Any:
    """Turn a tree into dicts and lists; lines are lost."""
    if isinstance(value, YamlMapping):
        return {key: to_plain(item) for key, item in value.items.items()}
    if isinstance(value, YamlSequence):
        return [to_plain(item) for item in value.items]
    return value


def show_value(value: Value) -> str:
    """Repeat a value of the tree in a message."""
    if isinstance(value, YamlMapping):
        return "a mapping"
    if isinstance(value, YamlSequence):
        return "a list"
    return show(value)


def line_of(tree: Value, path: tuple[int | str, ...], line: int) -> int:
    """Find the line of a path of keys and indices, as far as the tree has it."""
    node: Any = tree
    for part in path:
        if isinstance(node, YamlMapping):
            is_inside = part in node.items
        else:
            is_inside = isinstance(node, YamlSequence) and isinstance(part, int) and part < len(node.items)
        if not is_inside:
            break
        line = node.lines[part]
        node = node.items[part]
    return line


def _report(
    details: ErrorDetails,
    model: type[Section],
    tree: YamlMapping,
    findings: Findings,
    *,
    line: int,
    where: str,
) -> None:
    """Say one pydantic error in our words, at its line."""
    path = tuple(part for part in details["loc"] if part != "[key]")
    at = line_of(tree, path, line)
    keys = ".".join([where] * bool(where) + [str(part) for part in path if isinstance(part, str)])
    kind = details["type"]
    given = details["input"]
    if kind == "extra_forbidden":
        choices = _keys_at(model, path[:-1])
        hint = suggest(str(path[-1]), choices) or f"; known keys: {', '.join(choices)}"
        findings.error(at, f"unknown key {show(keys)}{hint}")
        return
    field, annotation = _declared_at(model, path)
    if kind == "missing":
        findings.error(at, f"{keys} is missing; allowed: {_allowed(field, annotation)}")
    elif kind == "value_error":
        findings.error(at, f"{keys}: {details['ctx']['error']}")
    elif kind == "too_short" and isinstance(given, list) and given:
        return  # Its entries are there; each that is wrong is told by itself.
    elif kind == "too_short" and isinstance(given, list):
        findings.error(at, f"{keys}: is empty; allowed: a list with at least one entry")
    else:
        hint = suggest(given, _literal_choices(annotation)) if isinstance(given, str) else ""
        shown = (
            "a mapping" if isinstance(given, dict) else "a list" if isinstance(given, list) else show(given)
        )
        hint = hint or _unquoted_hint(given, annotation)
        findings.error(at, f"{keys}: {shown} is not allowed; allowed: {_allowed(field, annotation)}{hint}")


def _colon_hint(tree: Value, model: type[Section]) -> str:
    """Whether a key of the model stands there and only its colon is missing."""
    word, _, rest = tree.partition(" ") if isinstance(tree, str) else ("", "", "")
    known = {field.alias or name for name, field in model.model_fields.items()}
    if word in known and rest:
        return f"; the colon is missing: write {show(f'{word}: {rest}')}"
    return ""


def _unquoted_hint(given: object, annotation: Any) -> str:
    """How to write `true` or `false` as a text, where a text is asked for."""
    takes_text = annotation is str or any(inner is str for inner in typing.get_args(annotation))
    if takes_text and isinstance(given, bool):
        return f'; write it in quotes: "{show(given)}"'
    return ""


def _sub_model(annotation: Any) -> type[Section] | None:
    """Find the model inside `X`, `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in typing.get_args(annotation):
        if found := _sub_model(inner):
            return found
    return None


def _keys_at(model: type[Section], path: tuple[int | str, ...]) -> list[str]:
    """List the keys that are known at a path."""
    inner = _sub_model(_declared_at(model, path)[1]) or model
    return [known.alias or name for name, known in inner.model_fields.items()]


def _declared_at(model: type[Section], path: tuple[int | str, ...]) -> tuple[FieldInfo | None, Any]:
    """Find the declaration that a path leads to, and the type of what stands exactly there."""
    field: FieldInfo | None = None
    annotation: Any = model
    for part in path:
        inner = annotation if _is_section(annotation) else None
        if inner is None and isinstance(part, str):
            inner = _sub_model(annotation) if typing.get_origin(annotation) is not dict else None
        named = {known.alias or name: known for name, known in inner.model_fields.items()} if inner else {}
        if isinstance(part, str) and part in named:
            field = named[part]
            annotation = field.annotation
        else:
            annotation = _item_type(annotation)
    return field, annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _literal_choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    return [choice for inner in typing.get_args(annotation) for choice in _literal_choices(inner)]


def _item_type(annotation: Any) -> Any:
    arguments = [inner for inner in typing.get_args(annotation) if inner is not Ellipsis]
    return arguments[-1] if arguments else annotation


def _allowed(field: FieldInfo | None, annotation: Any) -> str:
    """Describe what a key (or an item under it) takes: kind, range, unit and default."""
    if field is None or annotation is not field.annotation:
        return _describe(annotation, FieldInfo())
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    given = extra.get("allowed")
    text = given if isinstance(given, str) else _describe(annotation, field)
    if unit := extra.get("unit"):
        text += f" ({unit})"
    if isinstance(field.default, str | int | float):
        text += f"; default {field.default if isinstance(field.default, str) else show(field.default)}"
    return text


def _describe(annotation: Any, field: FieldInfo) -> str:
    if choices := _literal_choices(annotation):
        return ", ".join(choices) + (" or null" if type(None) in typing.get_args(annotation) else "")
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        return f"{_describe(inner[0], field)} or null"
    if typing.get_origin(annotation) is typing.Annotated:
        return _describe(typing.get_args(annotation)[0], field)
    if annotation in (int, float):
        noun = "a whole number" if annotation is int else "a number"
        return noun + _range(field)
    if annotation is bool:
        return "true or false"
    if annotation is str:
        most = next((limit.max_length for limit in field.metadata if isinstance(limit, MaxLen)), None)
        least = next((limit.min_length for limit in field.metadata if isinstance(limit, MinLen)), 0)
        return (
            f"text of {least} to {most} characters (numbers in quotes)"
            if most
            else "text (numbers in quotes)"
        )
    if typing.get_origin(annotation) in (tuple, list):
        return "a list"
    return "a mapping (key: value)"


def _range(field: FieldInfo) -> str:
    least = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    most = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" of at least {least}" if least is not None else ""
