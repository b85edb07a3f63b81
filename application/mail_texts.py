"""What mails say, in plain text and in HTML, and how values get into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from application.ports import Mail

_TEXT = """\
Hello $username,

{}

Taskwell, $home
"""

_HTML = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"></head>
<body>
<p>Hello $username,</p>
{}
<p><a href="$home">Taskwell</a></p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class MailText:
    """`$name` stands for a value: in HTML it is escaped, and a list becomes a line or an item for each of its texts."""

    subject: str
    text: str
    html: str

    def mail(self, key: str, to: str, **values: str | Sequence[str]) -> Mail:
        plain = {name: value if isinstance(value, str) else _lines(value) for name, value in values.items()}
        markup = {name: escape(value) if isinstance(value, str) else _items(value) for name, value in values.items()}
        return Mail(
            key,
            to,
            Template(self.subject).substitute(plain),
            Template(_TEXT.format(self.text)).substitute(plain),
            Template(_HTML.format(self.html)).substitute(markup),
        )


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _items(texts: Sequence[str]) -> str:
    return "\n".join(f"<li>{escape(text)}</li>" for text in texts)


WELCOME = MailText(
    subject="Welcome to Taskwell",
    text="your account is ready. A mail will tell you of tasks that are new, due soon, or completed.",
    html="<p>your account is ready. A mail will tell you of tasks that are new, due soon, or completed.</p>",
)

TASK_CREATED = MailText(
    subject="New task: $title",
    text="you have a new task: $title",
    html="<p>you have a new task: <strong>$title</strong></p>",
)

TASK_COMPLETED = MailText(
    subject="Done: $what",
    text="you completed:\n$titles",
    html="<p>you completed:</p>\n<ul>\n$titles\n</ul>",
)

TASK_DUE = MailText(  # within: it may be sent somewhat later than it should
    subject="Due within $span: $title",
    text="your task is due within $span, at $moment: $title",
    html="<p>your task is due within $span, at $moment: <strong>$title</strong></p>",
)
