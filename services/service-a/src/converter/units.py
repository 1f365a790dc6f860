"""Conversion between units of one quantity: exact fractions inside, one rounding at the end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction

# Significant digits of a result; inputs may not have more.
_DIGITS = 28
_MAX_LENGTH = 40
_MAX_EXPONENT = 30


class ConversionError(ValueError):
    """The request cannot be answered; the text says which parameter is wrong and what is accepted."""


@dataclass(frozen=True)
class Unit:
    """A unit as a line: base value = value * factor + offset."""

    quantity: str
    factor: Fraction
    offset: Fraction = Fraction(0)


@dataclass(frozen=True)
class Conversion:
    """What was asked and the answer, as decimal numbers."""

    quantity: str
    value: Decimal
    source: str
    target: str
    result: Decimal


# Factors are the definitions of SI Brochure 9 and of the international yard and pound agreement (1959).
UNITS: dict[str, Unit] = {
    "m": Unit("length", Fraction(1)),
    "km": Unit("length", Fraction(1000)),
    "cm": Unit("length", Fraction("0.01")),
    "mm": Unit("length", Fraction("0.001")),
    "in": Unit("length", Fraction("0.0254")),
    "ft": Unit("length", Fraction("0.3048")),
    "yd": Unit("length", Fraction("0.9144")),
    "mi": Unit("length", Fraction("1609.344")),
    "kg": Unit("mass", Fraction(1)),
    "g": Unit("mass", Fraction("0.001")),
    "t": Unit("mass", Fraction(1000)),
    "lb": Unit("mass", Fraction("0.45359237")),
    "oz": Unit("mass", Fraction("0.028349523125")),
    "K": Unit("temperature", Fraction(1)),
    "C": Unit("temperature", Fraction(1), Fraction("273.15")),
    "F": Unit("temperature", Fraction(5, 9), Fraction("273.15") - Fraction(160, 9)),
    "B": Unit("data", Fraction(1)),
    "kB": Unit("data", Fraction(1000)),
    "MB": Unit("data", Fraction(10**6)),
    "GB": Unit("data", Fraction(10**9)),
    "KiB": Unit("data", Fraction(1024)),
    "MiB": Unit("data", Fraction(1024**2)),
    "GiB": Unit("data", Fraction(1024**3)),
}


def convert(value: str, source: str, target: str) -> Conversion:
    """Return ``value`` (a decimal number as text) of unit ``source`` in unit ``target``.

    :raises ConversionError: not a number, an unknown unit, units of two quantities, or a value below
        absolute zero.
    """
    number = _number(value)
    origin, destination = _unit("from", source), _unit("to", target)
    if origin.quantity != destination.quantity:
        raise ConversionError(f"'{source}' is a unit of {origin.quantity} and '{target}' one of {destination.quantity}")
    base = Fraction(number) * origin.factor + origin.offset
    if origin.quantity == "temperature" and base < 0:
        raise ConversionError(f"{value} {source} is below absolute zero")
    result = _decimal((base - destination.offset) / destination.factor)
    return Conversion(origin.quantity, number, source, target, result)


def quantities() -> dict[str, list[str]]:
    """Return the known units by quantity."""
    known: dict[str, list[str]] = {}
    for name, unit in UNITS.items():
        known.setdefault(unit.quantity, []).append(name)
    return known


def _number(text: str) -> Decimal:
    if len(text) > _MAX_LENGTH:
        raise ConversionError(f"'value' has {len(text)} characters; at most {_MAX_LENGTH} are accepted")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ConversionError(f"'value' is '{text}', which is not a decimal number") from error
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT or len(number.as_tuple().digits) > _DIGITS:
        raise ConversionError(
            f"'value' must be finite, between 1e-{_MAX_EXPONENT} and 1e{_MAX_EXPONENT}, with at most {_DIGITS} digits"
        )
    return number


def _unit(parameter: str, name: str) -> Unit:
    unit = UNITS.get(name)
    if unit is None:
        raise ConversionError(f"'{parameter}' is '{name}'; known units are {', '.join(UNITS)}")
    return unit


def _decimal(exact: Fraction) -> Decimal:
    """Round to ``_DIGITS`` significant digits, without trailing zeros."""
    context = Context(prec=_DIGITS)
    return context.divide(Decimal(exact.numerator), Decimal(exact.denominator)).normalize(context)
