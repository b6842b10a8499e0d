"""The base of all classes of options: the description of an option, and the check of its value."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, is_dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

O = TypeVar("O", bound="Options")  # noqa: E741


@dataclass(frozen=True)
class Option:
    """What an option's type does not tell: the metadata of an Annotated type.

    help: what it does, in full sentences. The default is appended on the command line.
    advanced: listed only by `--help-all`.
    minimum, maximum: the range of a number, inclusive.
    choices: the allowed values, if the type is not a Literal.
    also: a second name on the command line.
    reads: the value names a file that is read.
    """

    help: str
    advanced: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    also: str | None = None
    reads: bool = False


@dataclass(frozen=True)
class Described(Option):
    """An option with what its class and type tell. `kind` is str, int, float or bool; a str may also be given as one of
    `others`. If the default is None, None is allowed."""

    name: str = ""
    heading: str = ""
    kind: type = str
    others: tuple[type, ...] = ()
    default: Any = None

    @property
    def flag(self) -> str:
        """'max_speed' -> '--max-speed'."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: Any) -> None:
        """Raises TypeError or ValueError, naming the option, for an invalid value."""
        if value is None and self.default is None:
            return
        name = f"`{self.name}`"
        if self.choices:
            if isinstance(value, bool) or not isinstance(value, type(self.choices[0])):
                raise TypeError(f"{name} must be one of {', '.join(map(str, self.choices))}, not {value!r}")
            if value not in self.choices:
                raise ValueError(f"{name} must be one of {', '.join(map(str, self.choices))}, not {value!r}")
        elif self.kind is bool:
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r}")
        elif self.kind is str:
            if isinstance(value, bool) or not isinstance(value, (str, *self.others)):
                other = "".join(f" or a {'number' if kind is Real else 'path'}" for kind in self.others)
                raise TypeError(f"{name} must be text{other}, not {value!r}")
        else:
            if isinstance(value, bool) or not isinstance(value, Integral if self.kind is int else Real):
                raise TypeError(f"{name} must be {'a whole number' if self.kind is int else 'a number'}, not {value!r}")
            low, high, given = self.minimum, self.maximum, float(value)
            if (low is not None and given < low) or (high is not None and given > high) or given != given:
                raise ValueError(f"{name} must be {range_words(low, high)}, not {value}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options, given by keyword. Raises TypeError for an unknown name or a value of the wrong type, ValueError for a
    value out of range; both name the option."""

    heading: ClassVar[str] = "Options"

    def __post_init__(self) -> None:
        for name, about in described(type(self)).items():
            value = getattr(self, name)
            about.check(value)
            if about.kind in (int, float) and not isinstance(value, (int, float, NoneType)):
                # NumPy's numbers and fractions cannot be written as JSON.
                object.__setattr__(self, name, about.kind(value))

    def part(self, kind: type[O]) -> O:
        """The part of these options that belongs to `kind`, a base class."""
        return kind(**{f.name: getattr(self, f.name) for f in fields(kind)})

    @classmethod
    def from_json(cls: type[O], data: dict[str, Any]) -> O:
        """Options from what `to_json` returned, perhaps of an earlier version: options that it did not have get their
        defaults. Other keys are ignored."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})

    def to_json(self) -> dict[str, Any]:
        return {name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in asdict(self).items()}


_known: dict[type[Options], dict[str, Described]] = {}


def described(kind: type[Options]) -> dict[str, Described]:
    """The options of a class by name, in order."""
    if kind not in _known:
        _known[kind] = _described(kind)
    return _known[kind]


def _described(kind: type[Options]) -> dict[str, Described]:
    types = get_type_hints(kind, include_extras=True)
    headings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Options) and is_dataclass(base):
            for f in fields(base):
                headings.setdefault(f.name, base.heading)
    found = {}
    for f in fields(kind):
        annotated = types[f.name]
        (about,) = (extra for extra in annotated.__metadata__ if isinstance(extra, Option))
        value_type, choices = _value_type(annotated)
        found[f.name] = Described(
            **vars(about) | {"choices": about.choices or choices},
            name=f.name,
            heading=headings[f.name],
            kind=value_type,
            others=_others(annotated) if value_type is str else (),
            default=f.default,
        )
    return found


def _value_type(annotation: Any) -> tuple[type, tuple[Any, ...]]:
    """str, int, float or bool, and the choices of a Literal: of 'float | None' or Annotated[Literal['a', 'b'], …]."""
    if get_origin(annotation) is Annotated:
        return _value_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _value_type(next(part for part in get_args(annotation) if part is not NoneType))
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return type(choices[0]), choices
    return annotation, ()


def _others(annotation: Any) -> tuple[type, ...]:
    """Real for a float and os.PathLike for a path, of Annotated[str | …, …]."""
    parts = get_args(get_args(annotation)[0])
    abstract = {float: Real, os.PathLike: os.PathLike}
    return tuple(abstract[kind] for part in parts if (kind := get_origin(part) or part) in abstract)


def range_words(low: float | None, high: float | None) -> str:
    """'from 20 to 150', 'at least 1' or 'at most 9'."""
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"
