"""Typed configuration: validated, closed to unknown keys, written as commented TOML."""

from __future__ import annotations

import json
import os
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from textseq.errors import ConfigurationError
from textseq.toml_text import Key, line_of_key, parse_toml, read_toml_text, toml_value

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ConfigurationType = TypeVar("ConfigurationType", bound="Configuration")

# How a refused value is explained, by pydantic's name of the error; all others keep pydantic's own words.
_EXPECTED = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "a text in quotes",
    "tuple_type": "an array such as [1, 2]",
    "list_type": "an array such as [1, 2]",
    "model_type": "a section of keys",
}

NOT_GIVEN: dict[str, Any] = {"none": "not given"}
"""`json_schema_extra` of a field that is left out where it is None, such as a file that need not be named."""


class Configuration(BaseModel):
    """Base of every configuration section.

    A subclass declares its fields with a type, a default (once, here only) and a description, which becomes the
    comment above the key in the TOML file. A field whose type is itself a Configuration is a section. A field whose
    value is None is written as a line that is commented out: `# key = chosen from the corpus`; where None means
    something else, `json_schema_extra={"none": "no limit"}` says what. In any field that may be None, the text
    "none" means None, so that a file or an override can say so.

    Infinite numbers, numbers in quotes that are no numbers, and true or false in place of a number are refused.

    Raises:
        ConfigurationError: an unknown key or a value out of range, also from the constructor.

    Example:
        >>> from pydantic import Field
        >>> class Training(Configuration):
        ...     epochs: int = Field(20, ge=1, description="Passes over the corpus.")
        >>> print(Training().with_overrides(["epochs=30"]).to_toml().strip())
        # Passes over the corpus.
        epochs = 30
        >>> Training(epochs=30).difference(Training())
        ['epochs: 30 -> 20']
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers see the fields as arguments instead

        def __init__(self, /, **data: Any) -> None:
            """Takes the fields by name."""
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise _configuration_error(type(self), error) from None

        # Without this mark pydantic calls __init__ for every section of a file, and the section's name is lost.
        __init__.__pydantic_base_init__ = True

    @field_validator("*", mode="before")
    @classmethod
    def _read_none_and_refuse_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        if value == "none" and isinstance(value, str) and _may_be_none(annotation):
            return None
        wanted = set(_leaf_types(annotation))
        if isinstance(value, bool) and wanted & {int, float} and not wanted & {bool, Any}:
            raise PydanticCustomError("bool_as_number", "Input should be a number")
        return value

    @classmethod
    def from_toml(cls: type[ConfigurationType], path: str | os.PathLike[str]) -> ConfigurationType:
        """Reads a configuration; keys that the file leaves out keep their defaults.

        Raises:
            ConfigurationError: the file cannot be read or is not TOML, a key is unknown, a value is out of range;
                the message names the file, the line and the key.
        """
        text = read_toml_text(path)
        data = parse_toml(text, path)
        return _validated(cls, data, text, path)

    def to_toml(self) -> str:
        """Returns the configuration as TOML, each key under its description; `from_toml` reads back an equal one."""
        return "\n".join(_toml_lines(self, ())).strip("\n") + "\n"

    def with_overrides(self: ConfigurationType, overrides: Iterable[str]) -> ConfigurationType:
        """Returns a copy with some values replaced.

        Args:
            overrides: texts of the form `section.key=value`. The value is read as TOML (`3`, `true`, `[1, 2]`,
                `"text"`), else it is taken as the text that it is. The last of several for one key holds.

        Raises:
            ConfigurationError: a text of another form, an unknown key, a value out of range.
        """
        cls = type(self)
        values: dict[Key, str] = {}
        for override in overrides:
            name, equals, value = override.partition("=")
            key = tuple(part.strip() for part in name.split("."))
            if not equals or not all(key):
                raise ConfigurationError(f"override '{override}': expected key=value, such as {_an_example(cls)}")
            section = _section_at(cls, key)
            if section is not None:
                keys = ", ".join(".".join((*key, field)) for field in section.model_fields)
                raise ConfigurationError(
                    f"override '{override}': {'.'.join(key)} is a section; override one of its keys: {keys}"
                )
            values[key] = value.strip()
        parsed: dict[Key, Any] = {key: _parse_value(value) for key, value in values.items()}
        try:
            return cls.model_validate(_with_values(self, parsed))
        except ValidationError as error:
            # `name=123` is meant as a text where the key wants a text.
            refused = {_key_of(cls, detail["loc"]) for detail in error.errors()}
            as_texts = {key: values[key] if key in refused else value for key, value in parsed.items()}
            try:
                return cls.model_validate(_with_values(self, as_texts))
            except ValidationError:
                raise _configuration_error(cls, error) from None

    def with_choices(self: ConfigurationType, choices: Mapping[str, object]) -> ConfigurationType:
        """Returns a copy in which every value that is open, so None, is filled in where there is a choice for it.

        Args:
            choices: a value by dotted key, such as {"training.epochs": 30}; of keys that are set it is not read.

        Raises:
            ConfigurationError: an unknown key, a value out of range.
        """
        values = {tuple(name.split(".")): value for name, value in choices.items()}
        data = self.model_dump()
        is_open = {key: value for key, value in values.items() if _value_at(data, key) is None}
        try:
            return type(self).model_validate(_with_values(self, is_open))
        except ValidationError as error:
            raise _configuration_error(type(self), error) from None

    def difference(self, other: Configuration) -> list[str]:
        """Returns one line for every key whose value differs, such as `training.epochs: 20 -> 30`.

        Args:
            other: the configuration after the arrow; "absent" stands for a key that only one of the two has.
        """
        before, after = dict(_flat(self)), dict(_flat(other))
        return [
            f"{'.'.join(key)}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
            for key in dict.fromkeys([*before, *after])
            if before.get(key) != after.get(key)
        ]


def _leaf_types(annotation: Any) -> Iterator[Any]:
    """Yields the alternatives of a type: int and NoneType for `int | None`, str for `Literal["gru"]`."""
    origin = get_origin(annotation)
    if origin is Literal:
        yield from dict.fromkeys(type(value) for value in get_args(annotation))
    elif origin is Annotated:
        yield from _leaf_types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for alternative in get_args(annotation):
            yield from _leaf_types(alternative)
    else:
        yield annotation


def _may_be_none(annotation: Any) -> bool:
    return type(None) in set(_leaf_types(annotation))


def _section_type(annotation: Any) -> type[Configuration] | None:
    """Returns the section's class where a field is a section."""
    for alternative in _leaf_types(annotation):
        if isinstance(alternative, type) and issubclass(alternative, Configuration):
            return alternative
    return None


def _section_at(cls: type[Configuration], key: Key) -> type[Configuration] | None:
    section: type[Configuration] | None = cls
    for part in key:
        if section is None or part not in section.model_fields:
            return None
        section = _section_type(section.model_fields[part].annotation)
    return section


def _all_keys(cls: type[Configuration], above: Key = ()) -> Iterator[Key]:
    """Yields the dotted key of every field and section below a class."""
    for name, field in cls.model_fields.items():
        yield (*above, name)
        section = _section_type(field.annotation)
        if section is not None:
            yield from _all_keys(section, (*above, name))


def _an_example(cls: type[Configuration]) -> str:
    for key in _all_keys(cls):
        if _section_at(cls, key) is None:
            return f"{'.'.join(key)}=VALUE"
    return "section.key=VALUE"


# Reading


def _parse_value(text: str) -> Any:
    """Reads one value as TOML, or returns the text where it is none."""
    try:
        data = parse_toml(f"value = {text}\n", "")
    except ConfigurationError:
        return text
    return data["value"] if list(data) == ["value"] else text


def _with_values(configuration: Configuration, values: Mapping[Key, Any]) -> dict[str, Any]:
    data = configuration.model_dump()
    for key, value in values.items():
        table = data
        for part in key[:-1]:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[key[-1]] = value
    return data


def _value_at(data: Mapping[str, Any], key: Key) -> Any:
    value: Any = data
    for part in key:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _validated(
    cls: type[ConfigurationType], data: Mapping[str, Any], text: str, path: str | os.PathLike[str]
) -> ConfigurationType:
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise _configuration_error(cls, error, text, path) from None


# Explaining


def _configuration_error(
    cls: type[Configuration],
    error: ValidationError,
    text: str = "",
    path: str | os.PathLike[str] | None = None,
) -> ConfigurationError:
    """Says in one line what is wrong with every key at fault, each with its place in the file."""
    problems: dict[Key, list[ErrorDetails]] = {}
    for detail in error.errors():
        problems.setdefault(_key_of(cls, detail["loc"]), []).append(detail)
    lines = []
    for key, details in problems.items():
        place = ""
        if path is not None:
            line = line_of_key(text, key)
            place = f"{os.fspath(path)}{'' if line is None else f':{line}'}: "
        lines.append(place + _explanation(cls, key, details))
    return ConfigurationError(" ".join("; and ".join(lines).split("\n")))


def _key_of(cls: type[Configuration], location: tuple[int | str, ...]) -> Key:
    """Turns pydantic's location into a key, without the names that it gives to a type's alternatives."""
    key: list[str] = []
    section: type[Configuration] | None = cls
    for part in location:
        if isinstance(part, int):
            key[-1:] = [f"{key[-1]}[{part}]"] if key else []
        elif section is not None:
            key.append(part)
            field = section.model_fields.get(part)
            section = None if field is None else _section_type(field.annotation)
    return tuple(key)


def _explanation(cls: type[Configuration], key: Key, details: list[ErrorDetails]) -> str:
    name = ".".join(key)
    first = details[0]
    if first["type"] == "extra_forbidden":
        return f"unknown key {name}; {_suggestion(cls, key)}"
    if first["type"] == "missing":
        return f"{name}: missing; it has no default, so give it a value"
    if first["type"] in ("value_error", "assertion_error"):
        return f"{name}: {first['ctx']['error']}" if name else str(first["ctx"]["error"])
    expected = " or ".join(dict.fromkeys(_expected(detail) for detail in details))
    return f"{name}: received {_shown(first['input'])}, expected {expected}"


def _expected(detail: ErrorDetails) -> str:
    form = _EXPECTED.get(detail["type"])
    if form is not None:
        return form.format(**detail.get("ctx", {}))
    return detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool | int | float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _suggestion(cls: type[Configuration], key: Key) -> str:
    import difflib

    section = _section_at(cls, key[:-1])
    siblings = {name: ".".join((*key[:-1], name)) for name in section.model_fields} if section is not None else {}
    close = difflib.get_close_matches(key[-1], siblings, n=1, cutoff=0.7)
    if close:
        return f"did you mean {siblings[close[0]]}?"
    everywhere: dict[str, str] = {}
    for other in _all_keys(cls):
        everywhere.setdefault(other[-1], ".".join(other))
    close = difflib.get_close_matches(key[-1], everywhere, n=1, cutoff=0.7)
    if close:
        return f"did you mean {everywhere[close[0]]}?"
    return f"expected one of {', '.join(siblings.values())}"


# Writing


def _toml_lines(configuration: Configuration, above: Key) -> Iterator[str]:
    fields = type(configuration).model_fields
    sections: list[tuple[str, Configuration]] = []
    for name, field in fields.items():
        value = getattr(configuration, name)
        if isinstance(value, Configuration):
            sections.append((name, value))
            continue
        yield from _comment(field.description)
        if value is None and field.get_default(call_default_factory=True) is None:
            yield f"# {name} = {_meaning_of_none(field)}"
        else:
            yield f"{name} = {toml_value(_plain(configuration, name))}"
        yield ""
    for name, section in sections:
        yield from _comment(fields[name].description)
        yield f"[{'.'.join((*above, name))}]"
        yield from _toml_lines(section, (*above, name))
        yield ""


def _comment(description: str | None) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(description or "", 100)]


def _meaning_of_none(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("none", "chosen from the corpus")) if isinstance(extra, dict) else "chosen from the corpus"


def _plain(configuration: Configuration, name: str) -> Any:
    """Returns a field as numbers, texts, lists and dicts."""
    return configuration.model_dump(mode="json", include={name})[name]


def _flat(configuration: Configuration, above: Key = ()) -> Iterator[tuple[Key, str]]:
    for name in type(configuration).model_fields:
        value = getattr(configuration, name)
        if isinstance(value, Configuration):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), "none" if value is None else toml_value(_plain(configuration, name))
