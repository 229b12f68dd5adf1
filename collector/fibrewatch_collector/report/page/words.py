"""Texts, numbers and times as a language writes them: catalogues of messages, and Babel for what CLDR knows. Pure."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.resources import files
from string import Formatter
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent

from fibrewatch_collector.report.output import Language
from fibrewatch_collector.sla.periods import Period

LOCALES: Mapping[Language, str] = {"en": "en_GB", "fr": "fr_FR"}
Message = str | Mapping[str, str]
_NARROW, _HARD = "\u202f", "\u00a0"
_RATES = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))
_MOST_DIGITS = 5
_LONG_S = 120.0
"""From here on hours and days say more than milliseconds."""


@cache
def catalogue(language: Language) -> Mapping[str, Message]:
    """All messages of a language, by id such as "verdict.pass"; those with plural forms as a mapping."""
    text = files(__package__).joinpath("messages", f"{language}.toml").read_text("utf-8")
    found: dict[str, Message] = {}
    for section, messages in tomllib.loads(text).items():
        found |= {f"{section}.{name}": message for name, message in messages.items()}
    return found


class Words:
    """One language in one time zone."""

    def __init__(self, language: Language, time_zone: str) -> None:
        self.language, self.zone = language, ZoneInfo(time_zone)
        self.locale = Locale.parse(LOCALES[language])
        self._messages = catalogue(language)

    # ---- messages

    def text(self, message_id: str, **values: str) -> str:
        """A message with its values, which are text already.

        Raises:
            KeyError: There is no such message, or a value is missing.
        """
        message = self._messages[message_id]
        if not isinstance(message, str):
            raise KeyError(message_id)
        return message.format_map(values)

    def count(self, message_id: str, count: int, **values: str) -> str:
        """A message in the plural form that a number needs; the number is its {count}."""
        forms = self._messages[message_id]
        if isinstance(forms, str):
            raise KeyError(message_id)
        form = forms.get(self.locale.plural_form(count), forms["other"])
        return form.format_map(values | {"count": self.number(count)})

    def named(self, section: str, name: str) -> str:
        """What a word of the contract is called; one that nobody named yet is shown as it is."""
        message = self._messages.get(f"{section}.{name}")
        return message if isinstance(message, str) else name.replace("_", " ")

    def fact(self, fact_id: str, values: Mapping[str, str | int | float]) -> str:
        """A fact's sentence; one that has none is shown as it is."""
        written = {name: self._written(name, value) for name, value in values.items()}
        message, count = self._messages.get(f"fact.{fact_id}"), values.get("count")
        if isinstance(message, Mapping):
            form = self.locale.plural_form(count) if isinstance(count, int | float) else "other"
            message = message.get(form, message["other"])
        if message is not None and _fields(message) <= written.keys():
            return message.format_map(written)
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in written.items())
        return fact_id.replace("_", " ") + (f" ({told})" if told else "")

    def _written(self, name: str, value: str | float) -> str:
        if isinstance(value, str):
            return value
        if name == "minutes":
            return self.minutes(int(value))
        return self.number(value, 0 if float(value).is_integer() else 2)

    def listed(self, parts: Iterable[str]) -> str:
        """a, b and c."""
        return format_list(list(parts), locale=self.locale)

    # ---- numbers

    def number(self, value: float, digits: int = 0) -> str:
        """With grouped thousands."""
        return format_decimal(_rounded(value, digits), format=_pattern(digits), locale=self.locale)

    def percent(self, ratio: float, digits: int = 2, beside: float | None = None) -> str:
        """A ratio; no rounding makes it whole, or equal to the promise `beside` it, that is not."""
        others = [0.0, 1.0] + ([beside] if beside is not None else [])
        while digits < _MOST_DIGITS and any(
            ratio != other and _rounded(ratio * 100, digits) == _rounded(other * 100, digits) for other in others
        ):
            digits += 1
        space = _NARROW if self.language == "fr" else ""
        number = format_percent(_rounded(ratio, digits + 2), format=f"{_pattern(digits)}%", locale=self.locale)
        return number.replace("%", f"{space}%")

    def asked(self, ratio: float) -> str:
        """A promised ratio: as many digits as it was written with."""
        digits = max(0, -int(Decimal(repr(round(ratio * 100, 6))).normalize().as_tuple().exponent))
        return self.percent(ratio, min(digits, _MOST_DIGITS))

    def rate(self, bytes_per_second: float) -> str:
        """Three digits at least, in the unit that people use."""
        bits = bytes_per_second * 8
        for size, unit in _RATES:
            if bits >= size:
                value = bits / size
                digits = 0 if value >= 100 or math.isclose(value, round(value)) else 1 if value >= 10 else 2
                return f"{self.number(value, digits)}{_HARD}{unit}"
        return f"{self.number(bits)}{_HARD}bit/s"

    def delay(self, seconds: float, beside: float | None = None) -> str:
        """In milliseconds, with three digits at least; not rounded onto the limit `beside` it."""
        ms = seconds * 1000
        digits = 0 if abs(ms) >= 1000 else 1 if abs(ms) >= 10 else 2
        if beside is not None:
            while digits < _MOST_DIGITS and ms != beside * 1000 and _same(ms, beside * 1000, digits):
                digits += 1
        return f"{self.number(ms, digits)}{_HARD}ms"

    def limit(self, seconds: float) -> str:
        """A promised delay: as many digits as it was written with."""
        ms = Decimal(repr(round(seconds * 1000, _MOST_DIGITS))).normalize()
        return f"{self.number(float(ms), max(0, -int(ms.as_tuple().exponent)))}{_HARD}ms"

    def value(self, amount: float, unit: str) -> str:
        """A figure of any metric, by its unit."""
        if unit == "seconds":
            return self.delay(amount) if abs(amount) < _LONG_S else self.minutes(round(amount / 60))
        if unit == "ratio":
            return self.percent(amount)
        if unit == "bytes_per_second":
            return self.rate(amount)
        short = {"dbm": "dBm", "celsius": "°C", "hertz": "Hz", "bytes": "B", "decibels": "dB"}.get(unit, "")
        digits = 0 if float(amount).is_integer() else 2
        return self.number(amount, digits) + (f"{_HARD}{short}" if short else "")

    def ordinal(self, number: str) -> str:
        """95th, of a number as it was written."""
        if self.language == "fr":
            return f"{number}er" if number == "1" else f"{number.replace('.', ',')}e"
        ending = {"1": "st", "2": "nd", "3": "rd"}.get(number[-1:], "th")
        return number + ("th" if number[-2:] in ("11", "12", "13") or "." in number else ending)

    # ---- times

    def minutes(self, count: int) -> str:
        """A length of time: 2 h 05 min, 3 d 4 h."""
        days, left = divmod(count, 1440)
        hours, minutes = divmod(left, 60)
        if not count or (not days and not hours):
            return f"{minutes}{_HARD}min"
        if not days:
            return f"{hours}{_HARD}h{_HARD}{minutes:02d}{_HARD}min"
        day = "j" if self.language == "fr" else "d"
        rest = f"{_HARD}{hours}{_HARD}h" if hours or minutes else ""
        return f"{self.number(days)}{_HARD}{day}{rest}" + (f"{_HARD}{minutes:02d}{_HARD}min" if minutes else "")

    def between(self, begin: datetime, end: datetime) -> str:
        """How long that was, to the second below an hour."""
        seconds = round((end - begin).total_seconds())
        if seconds >= 3600 or seconds % 60 == 0:
            return self.minutes(round(seconds / 60))
        minutes, rest = divmod(seconds, 60)
        return f"{minutes}{_HARD}min{_HARD}{rest:02d}{_HARD}s" if minutes else f"{rest}{_HARD}s"

    def day(self, day: date) -> str:
        """1 October 2026."""
        return self._first(format_date(day, "d MMMM y", locale=self.locale))

    def short_date(self, day: date) -> str:
        """1 Oct."""
        return self._first(format_date(day, "d MMM", locale=self.locale))

    def moment(self, at: datetime) -> str:
        """Date and time where the site is."""
        return f"{self.day(at.astimezone(self.zone).date())}, {self.clock(at)}"

    def short_moment(self, at: datetime) -> str:
        """1 Oct., 14:05:09; in the hour that a clock lives twice the offset says which."""
        return f"{self.short_date(at.astimezone(self.zone).date())}{_HARD}{self.clock(at, seconds=True)}"

    def clock(self, at: datetime, *, seconds: bool = False) -> str:
        """14:05, and in the hour that a clock lives twice its offset as well."""
        local = at.astimezone(self.zone)
        text = format_time(local, "HH:mm:ss" if seconds and at.second else "HH:mm", locale=self.locale)
        if local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset():
            return text
        return f"{text}{_HARD}({local:%z})"

    def month(self, label: str) -> str:
        """October 2026, of "2026-10"."""
        first = datetime.strptime(label, "%Y-%m").replace(tzinfo=UTC).date()
        return format_skeleton("yMMMM", first, locale=self.locale)

    def month_alone(self, label: str) -> str:
        """Oct, of "2026-10"."""
        return format_date(datetime.strptime(label, "%Y-%m").replace(tzinfo=UTC).date(), "LLL", locale=self.locale)

    def weekdays(self) -> list[str]:
        """Monday to Sunday, short."""
        monday = date(2026, 1, 5)
        return [format_date(monday + timedelta(days=each), "ccc", locale=self.locale) for each in range(7)]

    def period(self, period: Period) -> str:
        """As people say it."""
        if "/" in period.label:
            first, last = (date.fromisoformat(each) for each in period.label.split("/"))
            if first == last:
                return self.text("period.one_day", day=self.day(first))
            return self.text("period.range", first=self.day(first), last=self.day(last))
        return self.month(period.label) if "-" in period.label else period.label

    def _first(self, text: str) -> str:
        """In French the first of a month is an ordinal."""
        return f"1er{text[1:]}" if self.language == "fr" and text.startswith("1 ") else text


def _fields(message: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(message) if name}


def _pattern(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


def _rounded(value: float, digits: int) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


def _same(one: float, other: float, digits: int) -> bool:
    return _rounded(one, digits) == _rounded(other, digits)
