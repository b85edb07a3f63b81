"""Header fields of a value and parameters, like `form-data; name="file"`, read strictly (RFC 9110, 5.6.6; RFC 8187)."""

import re
from urllib.parse import unquote_to_bytes

PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9a-z-]+)=("(?:[^"\\]|\\.)*"|[^ \t;"]*))?[ \t]*""", re.ASCII | re.IGNORECASE
)
EXTENDED = re.compile(r"utf-8'[a-z0-9-]*'((?:%[0-9a-f]{2}|[!#$&+.^_`|~0-9a-z-])*)", re.ASCII | re.IGNORECASE)
ESCAPED = re.compile(r"%(22|[01][0-9A-F])")


def parse(field: str) -> tuple[str, dict[str, str]]:
    """The value, and the parameters by name, in lower case. Raise `ValueError` if it is none, or a name is repeated."""
    value, semicolon, _ = field.partition(";")
    found: dict[str, str] = {}
    at = len(value) if semicolon else len(field)
    while at < len(field):
        parameter = PARAMETER.match(field, at)
        if not parameter or (parameter[1] and parameter[1].lower() in found):
            raise ValueError("not a list of parameters")
        if parameter[1]:
            found[parameter[1].lower()] = _unquoted(parameter[2])
        at = parameter.end()
    return value.strip(" \t").lower(), found


def extended(value: str) -> str:
    """The text of an extended parameter such as `filename*`. Raise `ValueError` if it is none."""
    encoded = EXTENDED.fullmatch(value)
    if not encoded:
        raise ValueError("not an extended value in UTF-8")
    return unquote_to_bytes(encoded[1]).decode()


def unescaped(value: str) -> str:
    """What browsers escape in the names of a form, undone (HTML, 4.10.21.8); they leave any other % as it is."""
    return ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), value)


def _unquoted(value: str) -> str:
    """Only `\\"` and `\\\\` are escapes: any other backslash is meant as one, by a client that sends a path."""
    return re.sub(r'\\(["\\])', r"\1", value[1:-1]) if value.startswith('"') else value
