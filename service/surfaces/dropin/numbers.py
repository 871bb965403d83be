"""Amounts of credits as the image API writes them."""

from decimal import Decimal


def json_number(amount: Decimal) -> int | float:
    """A JSON number: whole where the amount is whole."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def in_words(amount: Decimal) -> str:
    """The digits in a string, without zeros behind the point."""
    return f"{amount.normalize():f}"
