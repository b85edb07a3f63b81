"""Mails into the log, for a service that has no mail server."""

import structlog

from application.ports import Mail

log = structlog.get_logger()


class LogNotifier:
    async def send(self, mail: Mail) -> None:
        log.info("mail", to=mail.to, subject=mail.subject, text=mail.text)
