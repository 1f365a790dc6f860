"""Conversions against values known from their definitions."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from converter.units import UNITS, ConversionError, convert, quantities


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("1", "mi", "km", "1.609344"),
        ("12", "in", "ft", "1"),
        ("1", "ft", "m", "0.3048"),
        ("16", "oz", "lb", "1"),
        ("0", "C", "K", "273.15"),
        ("100", "C", "F", "212"),
        ("32", "F", "C", "0"),
        ("-40", "F", "C", "-40"),
        ("0", "K", "F", "-459.67"),
        ("10", "GiB", "B", "10737418240"),
        ("1", "MiB", "kB", "1048.576"),
        ("1e-30", "m", "m", "1e-30"),
        ("1", "in", "yd", "0.02777777777777777777777777778"),
    ],
)
def test_known_values(value: str, source: str, target: str, expected: str) -> None:
    assert convert(value, source, target).result == Decimal(expected)


def test_every_pair_of_one_quantity_comes_back_to_its_value() -> None:
    for names in quantities().values():
        for source, target in itertools.permutations(names, 2):
            there = convert("301.5", source, target).result
            back = convert(f"{there:.26g}", target, source).result
            assert abs(back - Decimal("301.5")) < Decimal("1e-20"), (source, target)


def test_units_are_grouped_by_quantity() -> None:
    grouped = quantities()
    assert sum(len(names) for names in grouped.values()) == len(UNITS)
    assert set(grouped) == {"length", "mass", "temperature", "data"}


@pytest.mark.parametrize(
    ("value", "source", "target", "said"),
    [
        ("abc", "m", "km", "'value' is 'abc', which is not a decimal number"),
        ("", "m", "km", "not a decimal number"),
        ("NaN", "m", "km", "must be finite"),
        ("Infinity", "m", "km", "must be finite"),
        ("1e31", "m", "km", "must be finite"),
        ("1" * 41, "m", "km", "has 41 characters"),
        ("1" * 29, "m", "km", "at most 28 digits"),
        ("1", "parsec", "km", "'from' is 'parsec'; known units are m,"),
        ("1", "m", "parsec", "'to' is 'parsec'"),
        ("1", "m", "kg", "'m' is a unit of length and 'kg' one of mass"),
        ("-1", "K", "C", "below absolute zero"),
        ("-460", "F", "C", "below absolute zero"),
    ],
)
def test_refusals_say_what_is_wrong(value: str, source: str, target: str, said: str) -> None:
    with pytest.raises(ConversionError) as error:
        convert(value, source, target)
    assert said in str(error.value)
