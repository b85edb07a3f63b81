"""Who finds which file, and until when."""

from pathlib import Path
from typing import Any

from tests.api.conftest import Api, Person
from tests.api.files.exchanges import PNG, stored, until


async def test_a_deleted_file_is_gone(api: Api, me: Person, task: dict[str, Any]) -> None:
    first, second = await me.file(task), await me.file(task)
    answer = await me.delete(f"/files/{first['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await me.get(f"/tasks/{task['id']}/files")).json() == {"items": [second]}
    for method, path in (
        ("GET", f"/files/{first['id']}"),
        ("HEAD", f"/files/{first['id']}"),
        ("DELETE", f"/files/{first['id']}"),
        ("GET", f"/tasks/{task['id']}/files/{first['id']}"),
    ):
        assert (await me.send(method, path)).status_code == 404
    await until(lambda: len(stored(api)) == 1)  # the job has run
    assert (await me.get(f"/files/{second['id']}")).content == b"hello"


async def test_what_is_somebody_elses_looks_like_what_does_not_exist(
    me: Person, api: Api, task: dict[str, Any]
) -> None:
    file = await me.file(task)
    stranger = await api.person()
    for method, path in (
        ("POST", "/tasks/{task}/files"),
        ("GET", "/tasks/{task}/files"),
        ("GET", "/tasks/{task}/files/{file}"),
        ("GET", "/files/{file}"),
        ("DELETE", "/files/{file}"),
    ):
        answers = [
            await stranger.send(
                method, path.format(**ids), files={"file": ("a.txt", b"a")} if method == "POST" else None
            )
            for ids in (
                {"task": task["id"], "file": file["id"]},
                {"task": 10**9, "file": 10**9},
                {"task": "01", "file": "+1"},
            )
        ]
        alike = [{**answer.json(), "instance": "", "request_id": ""} for answer in answers]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert alike == [alike[0]] * 3
    assert (await me.get(f"/files/{file['id']}")).content == b"hello"


async def test_without_a_token_everything_is_401(api: Api) -> None:
    for method, path in (
        ("POST", "/tasks/1/files"),
        ("GET", "/tasks/1/files"),
        ("GET", "/tasks/1/files/1"),
        ("GET", "/files/1"),
        ("HEAD", "/files/1"),
        ("DELETE", "/files/x"),
    ):
        assert (await api.client.request(method, path)).status_code == 401


async def test_the_whole_way_on_every_database_and_storage(any_api: Api, tmp_path: Path) -> None:
    me = await any_api.person()
    task = await me.task()
    content = bytes(range(256)) * 5000
    file = await me.file(task, PNG + content, "Ünï.png")
    assert (await me.get(f"/tasks/{task['id']}/files")).json() == {"items": [file]}
    assert (await me.get(f"/files/{file['id']}")).content == PNG + content
    ranged = await me.get(f"/files/{file['id']}", headers={"Range": "bytes=300000-900000"})
    assert ranged.content == (PNG + content)[300000:900001]
    refused = await me.post(f"/tasks/{task['id']}/files", files={"file": ("a.png", b"no png at all")})
    assert refused.status_code == 415
    folder = tmp_path / "files"
    assert not folder.exists() or len(list(folder.iterdir())) == 1
    assert (await me.delete(f"/files/{file['id']}")).status_code == 204
    await until(lambda: not folder.exists() or not list(folder.iterdir()))  # the job has run
    assert (await me.get(f"/files/{file['id']}")).status_code == 404
