"""One walk through everything the service does, as a client over HTTP, and what it answered."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2

VARYING = re.compile(r"^(id|ids|task_id|request_id|next_cursor|access_token|timestamp|.*_at)$")
COMPARED = ("content-type", "etag", "location", "www-authenticate", "x-cache", "content-disposition", "content-range")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@dataclass
class Tour:
    """`answers` has everything but ids and times, so that two walks can be compared."""

    client: httpx2.AsyncClient
    answers: list[tuple[Any, ...]] = field(default_factory=list)

    async def ask(self, method: str, path: str, status: int, **options: Any) -> httpx2.Response:
        answer = await self.client.request(method, path, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        is_json = "json" in answer.headers.get("content-type", "")
        body = without_varying(answer.json()) if is_json else answer.content
        compared = [name for name in COMPARED if name in answer.headers and (name, path) != ("etag", "/cached-data")]
        headers = {name: without_ids(answer.headers[name]) for name in compared}
        self.answers.append((method, without_ids(path), status, headers, body))
        return answer

    async def walk(self) -> None:
        await self._account()
        task = await self._tasks()
        await self._files(task)
        await self._statistics()
        await self._examples()
        await self._mistakes(task)
        await self.ask("DELETE", f"/tasks/{task}", 204)
        await self.ask("GET", f"/tasks/{task}", 404)

    async def _account(self) -> None:
        account = {"username": "anna", "email": "anna@example.org", "password": "correct horse battery"}
        await self.ask("POST", "/auth/register", 201, json=account)
        await self.ask("POST", "/auth/register", 409, json=account)
        login = {"username": "anna", "password": account["password"]}
        await self.ask("POST", "/auth/token", 200, data={"grant_type": "password", **login})
        await self.ask("POST", "/auth/login", 401, json={**login, "password": "wrong"})
        token = (await self.ask("POST", "/auth/login", 200, json=login)).json()["access_token"]
        self.client.headers["authorization"] = f"Bearer {token}"
        await self.ask("GET", "/auth/me", 200)

    async def _tasks(self) -> int:
        new = {"title": "Ship it", "tags": ["work", "now"], "priority": "high", "due_at": "2031-05-01T12:00:00+02:00"}
        task: int = (await self.ask("POST", "/tasks", 201, json=new)).json()["id"]
        others = [(await self.ask("POST", "/tasks", 201, json={"title": f"Other {n}"})).json()["id"] for n in range(3)]
        await self.ask("GET", f"/tasks/{task}", 200)
        await self.ask("GET", f"/tasks/{task}", 304, headers={"if-none-match": '"1"'})
        await self.ask("PATCH", f"/tasks/{task}", 200, json={"description": "soon"}, headers={"if-match": '"1"'})
        await self.ask("PATCH", f"/tasks/{task}", 412, json={"description": "late"}, headers={"if-match": '"1"'})
        await self.ask("POST", f"/tasks/{task}/complete", 200)
        await self.ask("POST", f"/tasks/{task}/complete", 200)
        await self.ask("POST", f"/tasks/{task}/reopen", 200)
        await self.ask("PATCH", "/tasks/bulk", 200, json={"ids": others, "set": {"tags": ["bulk"], "completed": True}})
        first = await self.ask("GET", "/tasks?limit=2&sort=title", 200)
        await self.ask("GET", f"/tasks?limit=2&sort=title&cursor={first.json()['next_cursor']}", 200)
        await self.ask("GET", "/tasks?tag=work&tag=now&q=shi&completed=false&priority=high", 200)
        await self.ask("POST", "/tasks/bulk/delete", 200, json={"ids": others[:2]})
        await self.ask("POST", "/tasks/bulk/delete", 404, json={"ids": others[:2]})
        return task

    async def _files(self, task: int) -> None:
        uploaded = await self.ask("POST", f"/tasks/{task}/files", 201, files={"file": ("Größe.TXT", b"hello\n")})
        file = uploaded.json()["id"]
        image = await self.ask("POST", f"/tasks/{task}/files", 201, files={"file": ("a.png", PNG, "image/png")})
        await self.ask("POST", f"/tasks/{task}/files", 415, files={"file": ("evil.exe", b"MZ")})
        await self.ask("GET", f"/tasks/{task}/files", 200)
        await self.ask("GET", f"/tasks/{task}/files/{file}", 200)
        await self.ask("GET", f"/files/{file}", 200)
        await self.ask("HEAD", f"/files/{file}", 200)
        await self.ask("GET", f"/files/{file}", 206, headers={"range": "bytes=1-3"})
        await self.ask("GET", f"/tasks/{task}", 200)
        await self.ask("DELETE", f"/files/{image.json()['id']}", 204)
        await self.ask("GET", f"/files/{image.json()['id']}", 404)

    async def _statistics(self) -> None:
        await self.ask("GET", "/tasks/stats", 200)
        await self.ask("GET", "/tasks/stats", 200)
        await self.ask("GET", "/tasks/stats?tz=Europe/Berlin", 200)

    async def _examples(self) -> None:
        first = await self.ask("GET", "/cached-data", 200)
        again = await self.ask("GET", "/cached-data", 200)
        assert again.json() == first.json()
        for _ in range(5):
            await self.ask("GET", "/rate-limited", 200)
        await self.ask("GET", "/rate-limited", 429)
        await self.ask("POST", "/background-task", 202)

    async def _mistakes(self, task: int) -> None:
        await self.ask("GET", "/nowhere", 404)
        await self.ask("PUT", f"/tasks/{task}", 405)
        await self.ask("POST", "/tasks", 422, json={"title": " ", "colour": "red"})
        await self.ask("POST", "/tasks", 400, content=b"{", headers={"content-type": "application/json"})
        await self.ask("GET", "/tasks/12345678901234567890", 404)
        await self.ask("GET", f"/tasks/{task}", 401, headers={"authorization": "Bearer nonsense"})


def without_ids(text: str) -> str:
    return re.sub(r"/\d+", "/N", text)


def without_varying(body: Any) -> Any:
    match body:
        case dict():
            return {
                name: type(value).__name__ if VARYING.match(name) and value is not None else without_varying(value)
                for name, value in body.items()
            }
        case list():
            return [without_varying(item) for item in body]
        case str():
            return without_ids(body)
        case _:
            return body
