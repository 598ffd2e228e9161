"""What a request may be refused for, and the strict reading of its body."""

import json
import math
from typing import Any

# 64 kB, the most that a request's body may have.
MOST_BYTES = 64 * 1024
# Nesting that no honest request has: values are lists of lists.
MOST_DEPTH = 32
MOST_DIGITS = 40


class Refused(Exception):
    """A request that is not answered: the HTTP status, and why in one sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def refusal(message: str) -> bytes:
    """The body of every answer that is an error.

    Example:
        >>> refusal("no token")
        b'{"error": "no token"}'
    """
    return json.dumps({"error": message}).encode()


def read_object(body: bytes) -> dict[str, Any]:
    """Read the JSON object that a request's body is.

    JSON as its standard has it and no more: no NaN, no number beyond float64, no key twice, no half
    of a surrogate pair, no nesting beyond `MOST_DEPTH`.

    Args:
        body: UTF-8.

    Raises:
        Refused: with status 400, if it is anything else.

    Example:
        >>> read_object(b'{"wrt": "W"}')
        {'wrt': 'W'}
        >>> read_object(b'{"x": NaN}')
        Traceback (most recent call last):
        ...
        layouts.explorer.refusals.Refused: the body is no JSON: NaN is no number of JSON
    """
    try:
        found = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise Refused(400, f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is JSON, but no object")
    _check(found)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(text)


def _check(found: dict[str, Any]) -> None:
    """Depth, and that every text can be written as UTF-8 again."""
    level: list[Any] = [found]
    for _ in range(MOST_DEPTH):
        for item in level:
            texts = item if isinstance(item, dict) else [item]
            if any(isinstance(text, str) and not _encodes(text) for text in texts):
                raise Refused(400, "the body has half of a surrogate pair")
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise Refused(400, "the body is nested too deeply")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
