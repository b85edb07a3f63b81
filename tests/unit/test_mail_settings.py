"""Settings about mail that go together, and what is said of those that do not."""

from typing import Any

import pytest
from pydantic import ValidationError

from infrastructure.settings import Settings

FROM = {"mail_from": "Taskwell <tasks@example.org>"}


def settings(**values: Any) -> Settings:
    return Settings(**{"_env_file": None, **values})


def said(**values: Any) -> list[tuple[str, str]]:
    """The name and the sentence of each refusal, as the program shows them."""
    with pytest.raises(ValidationError) as refused:
        settings(**values)
    errors = refused.value.errors(include_input=False, include_url=False)
    return [("".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")) for error in errors]


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.example.org",
        "smtp://127.0.0.1:1025/",
        "smtp://[::1]:25",
        "smtps://mail.example.org:465",
        "smtp://post:p%40ss%3Aw%2Frd@mail.example.org:587",
    ],
)
def test_a_mail_server(url: str) -> None:
    chosen = settings(smtp_url=url, **FROM)
    assert (chosen.notifier, chosen.smtp_url.get_secret_value()) == ("smtp", url)
    assert url not in repr(chosen)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "mail.example.org:25",
        "http://mail.example.org",
        "smtp://",
        "smtp://:25",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:99999",
        "smtp://mail.example.org:port",
        "smtp://post@mail.example.org",
        "smtp://post:s3cret/s3cret@mail.example.org",
        "smtp://post:s3cret#s3cret@mail.example.org",
        "smtp://post:s3cret[s3cret@mail.example.org",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?timeout=3",
    ],
)
def test_what_is_no_mail_server_is_told_without_showing_it(url: str) -> None:
    sentence = "must be such as smtp://host:port or smtps://user:password@host, special characters as %40"
    assert said(smtp_url=url, **FROM) == [("smtp_url", sentence)]


def test_a_mail_server_needs_a_sender() -> None:
    sentence = "TASKWELL_SMTP_URL needs TASKWELL_MAIL_FROM, the address that mails come from"
    assert said(smtp_url="smtp://localhost") == [("", sentence)]
    assert settings().notifier == settings(**FROM).notifier == "log"


@pytest.mark.parametrize(
    "sender",
    [
        "tasks",
        "@example.org",
        "a@b@c.example",
        "a@example.org, b@example.org",
        "a@example.org\nBcc: b",
        "a\x00@b.example",
    ],
)
def test_what_is_no_sender(sender: str) -> None:
    assert said(mail_from=sender) == [("mail_from", "must be one address, such as Taskwell <tasks@example.org>")]


def test_links_lead_to_the_public_url_or_to_the_service_itself() -> None:
    assert settings(port=8001).home == "http://127.0.0.1:8001/docs"
    assert settings(public_url="https://tasks.example.org/app").home == "https://tasks.example.org/app"
    for url in ("tasks.example.org", "ftp://tasks.example.org", "javascript:alert(1)", "https://"):
        assert said(public_url=url) == [("public_url", "must begin with http:// or https:// and name a host")]
