"""Settings that are the name of one of several kinds, or a mapping of that name to its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheguard.settings.values import Section, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Choice:
    """noun: what it is called. plain: kinds without options. with_options: by kind. either: those that may stand alone.

    `known` is for pydantic's BeforeValidator, `kind` for its Discriminator, whose tags are `noun:name` and `noun:kind`.
    """

    noun: str
    plain: tuple[str, ...]
    with_options: Mapping[str, type[Section]]
    either: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str | int, type[Section]]:
        """By tag: those with options."""
        return {self._tag(name): section for name, section in self.with_options.items()}

    def known(self, value: object) -> object:
        """Raises ValueError that says what may stand here."""
        match value:
            case str() if value in self.with_options and value not in self.either:
                raise ValueError(f"needs options: {value}: {{{', '.join(self._options(value))}}}")
            case str():
                if value not in (*self.plain, *self.either):
                    refuse_unknown([()], (*self.plain, *self.with_options))
            case dict():
                [name, *more] = value or [""]
                if name in self.plain and not more:
                    raise ValueError(f"gives {name} options, but it has none: write it alone")
                if name not in self.with_options or more:
                    raise ValueError(f"must be one {self.noun} with its options; known: {', '.join(self.with_options)}")
            case Section():
                pass
            case _:
                raise ValueError(f"must be the name of a {self.noun}, or a mapping of its name to its options")
        return value

    def kind(self, value: object) -> str:
        match value:
            case str():
                return self._tag("name")
            case dict():
                return self._tag(next(iter(value)))
            case _:
                return next(self._tag(name) for name, kind in self.with_options.items() if isinstance(value, kind))

    def _tag(self, kind: str) -> str:
        return f"{self.noun}:{kind}"

    def _options(self, name: str) -> list[str]:
        [field] = self.with_options[name].model_fields.values()
        options = getattr(field.annotation, "model_fields", None)
        return ["…"] if options is None else list(options)
