"""Whether the settings about mail are what they should be."""

from email.utils import getaddresses
from urllib.parse import urlsplit

from email_validator import validate_email


def names_a_mail_server(url: str) -> bool:
    try:
        server = urlsplit(url)
        port = server.port
    except ValueError:  # its text could show a part of the password
        return False
    known = server.scheme in {"smtp", "smtps"} and bool(server.hostname) and port != 0
    rest = server.path.strip("/") or server.query or server.fragment
    return known and bool(server.username) == bool(server.password) and not rest


def is_a_sender(value: str) -> bool:
    try:
        ((_, address),) = getaddresses([value])
        validate_email(address, check_deliverability=False, test_environment=True)
    except ValueError:  # not one, or none
        return False
    return value.isprintable()
