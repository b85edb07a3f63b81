"""Names of files that go up and come down through curl."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest

from tests.e2e.service import Service
from tests.e2e.started import PLENTY, embedded, logged_in

# As it is, and as curl saves it: it knows the ASCII form only.
NAMES = {
    "plain.txt": "plain.txt",
    "with space.txt": "with space.txt",
    "semi;colon, comma=equal&.txt": "semi;colon, comma=equal&.txt",
    "-dash (it's).txt": "-dash (it's).txt",
    'say "hi".txt': "say _hi_.txt",
    "100%41.txt": "100_41.txt",
    "Grüße 名前.txt": "Gr__e __.txt",
    "\u05e9\u05dc\u05d5\u05dd.txt": "____.txt",  # right to left by itself
    "é" * 100 + ".txt": "_" * 100 + ".txt",
}


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
async def test_names_survive_curl(tmp_path: Path) -> None:
    async with (
        Service(cwd=tmp_path, env=embedded(tmp_path) | PLENTY) as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False) as client,
    ):
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
        up, down = tmp_path / "up", tmp_path / "down"
        up.mkdir()
        for number, (name, saved) in enumerate(NAMES.items()):
            (up / name).write_text(f"content {number}")
            quoted = re.sub(r'(["\\])', r"\\\1", str(up / name))
            file = json.loads(_curl(tmp_path, client, f"/tasks/{task['id']}/files", "-F", f'file=@"{quoted}"'))
            assert file["original_filename"] == name
            folder = down / str(number)
            folder.mkdir(parents=True)
            _curl(folder, client, f"/files/{file['id']}", "-OJ")
            assert {path.name: path.read_text() for path in folder.iterdir()} == {saved: f"content {number}"}
            disposition = (await client.get(f"/files/{file['id']}")).headers["content-disposition"]
            assert unquote(disposition.partition("filename*=UTF-8''")[2]) == name


def _curl(folder: Path, client: httpx2.AsyncClient, path: str, *options: str) -> str:
    bearer = f"Authorization: {client.headers['authorization']}"
    command = ["curl", "-sS", "--fail", "-H", bearer, *options, f"{str(client.base_url).rstrip('/')}{path}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
