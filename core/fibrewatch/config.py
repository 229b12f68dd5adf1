"""TOML files into frozen structs; every error names the file, the place, the value and the nearest valid word."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from fibrewatch.errors import ConfigError

T = TypeVar("T")

_UNITS: Mapping[str, Mapping[str, float]] = {
    "duration": {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400},
    "size": {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    "rate": {"bit/s": 1 / 8, "kbit/s": 1e3 / 8, "Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8},
}
_EXAMPLES = {"duration": "60 s", "size": "256 MiB", "rate": "500 Mbit/s"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """Marks a field that a config writes as a string with its unit and that the program holds in base units."""

    kind: str


Duration = Annotated[float, Quantity("duration")]
"""Seconds; written "60 s", "5 min", "30 d"."""
Size = Annotated[int, Quantity("size")]
"""Bytes; written "256 MiB"."""
Rate = Annotated[float, Quantity("rate")]
"""Bytes per second; written "500 Mbit/s"."""
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


def quantity(text: str, kind: str) -> float:
    """A number with its unit, in base units.

    Raises:
        ValueError: What is wrong, with an example.
    """
    units = _UNITS[kind]
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]+)?)\s*([A-Za-z/]+)\s*", text)
    if match is None:
        raise ValueError(f'{text!r} is not a {kind} such as "{_EXAMPLES[kind]}"')
    number, unit = match.groups()
    if unit not in units:
        raise ValueError(f"{text!r}: no such unit{nearest(unit, units)}; {kind} takes {', '.join(units)}")
    return float(number) * units[unit]


def nearest(word: str, words: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing when no word is near."""
    import difflib  # 0.2 MiB that a box with a good config never needs

    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" (did you mean {found[0]}?)" if found else ""


def load(path: Path, kind: type[T]) -> T:
    """Reads a TOML file into a struct.

    Raises:
        ConfigError: The file can't be read, is not TOML, or does not fit `kind`.
    """
    return build(read_toml(path), kind, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: It can't be read or is not TOML; the parser's message names line and column.
    """
    try:
        return parse_toml(path.read_bytes(), str(path))
    except OSError as e:
        raise ConfigError(str(path), "", e.strerror or str(e)) from e


def parse_toml(text: bytes, file: str) -> dict[str, Any]:
    """The tables of a TOML file's text.

    Raises:
        ConfigError: It is not TOML, or has what Python doesn't read: a number of 4,301 digits, say.
    """
    try:
        return tomllib.loads(text.decode("utf-8"))
    except RecursionError as e:
        raise ConfigError(file, "", "not TOML: nested too deeply") from e
    except ValueError as e:
        raise ConfigError(file, "", f"not TOML: {e}") from e


def build(data: Any, kind: type[T], file: str, place: str = "") -> T:
    """Fits plain data to a type; see `load`."""
    fitted: T = _Builder(file).fit(data, kind, place)
    return fitted


class _Builder:
    """Walks data and type together, so that an error knows where it stands."""

    def __init__(self, file: str) -> None:
        self.file = file

    def fit(self, data: Any, kind: Any, place: str) -> Any:
        bare, quantities = _unwrap(kind)
        if quantities and isinstance(data, str):
            data = self._quantity(data, quantities[0], place)
        elif quantities and isinstance(data, int | float) and not isinstance(data, bool):
            self._fail(place, f'{data!r} has no unit: write it as "{_EXAMPLES[quantities[0].kind]}"')
        if isinstance(bare, type) and issubclass(bare, Struct):
            return self._struct(data, bare, place)
        if get_origin(bare) is dict and isinstance(data, dict):
            each = get_args(bare)[1]
            return {key: self.fit(value, each, _join(place, key)) for key, value in data.items()}
        if get_origin(bare) is tuple and get_args(bare)[-1] is Ellipsis and isinstance(data, list):
            return tuple(self.fit(item, get_args(bare)[0], _item(place, i, item)) for i, item in enumerate(data))
        return self._leaf(data, kind, place)

    def _struct(self, data: Any, kind: type[Struct], place: str) -> Struct:
        if not isinstance(data, dict):
            self._fail(place, f"{data!r} is not a table")
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for key in data:
            if key not in fields:
                self._fail(_join(place, key), f"no such key{nearest(key, fields)}")
        missing = [name for name, field in fields.items() if name not in data and _required(field)]
        if missing:
            self._fail(place, f"{missing[0]} is missing")
        values = {
            fields[key].name: self.fit(value, hints[fields[key].name], _join(place, key)) for key, value in data.items()
        }
        try:
            return kind(**values)
        except ValueError as e:  # a struct's __post_init__ speaks about fields that don't go together
            raise ConfigError(self.file, place, str(e)) from e

    def _quantity(self, text: str, wanted: Quantity, place: str) -> float:
        try:
            number = quantity(text, wanted.kind)
        except ValueError as e:
            self._fail(place, str(e))
        return int(number) if wanted.kind == "size" else number

    def _leaf(self, data: Any, kind: Any, place: str) -> Any:
        if isinstance(data, str) and "\0" in data:  # neither files nor hosts can be called so
            self._fail(place, f"{data!r} has a NUL character")
        try:
            return msgspec.convert(data, kind, dec_hook=_decode_hook)
        except msgspec.ValidationError as e:
            problem = str(e).split(" - at ")[0]
            options = _literals(kind)
            hint = nearest(str(data), options) if options else ""
            wanted = f"; one of {', '.join(options)}" if options else ""
            self._fail(place, f"{data!r}: {problem[0].lower()}{problem[1:]}{hint}{wanted}")

    def _fail(self, place: str, problem: str) -> Any:
        raise ConfigError(self.file, place, problem)


def _decode_hook(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _unwrap(kind: Any) -> tuple[Any, list[Quantity]]:
    """The bare type behind Annotated and `| None`, and the quantities met on the way."""
    if get_origin(kind) is Annotated:
        bare, *extras = get_args(kind)
        inner, quantities = _unwrap(bare)
        return inner, [extra for extra in extras if isinstance(extra, Quantity)] + quantities
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not NoneType]
        if len(options) == 1:
            return _unwrap(options[0])
    return kind, []


def _literals(kind: Any) -> list[str]:
    bare, _ = _unwrap(kind)
    return [str(option) for option in get_args(bare)] if str(get_origin(bare)) == "typing.Literal" else []


def _required(field: FieldInfo) -> bool:
    return field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _item(place: str, position: int, item: Any) -> str:
    """`site "cargo"` where the item has an id, else `site[3]` counted from 0."""
    name = item.get("id") if isinstance(item, dict) else None
    return f'{place} "{name}"' if isinstance(name, str) else f"{place}[{position}]"
