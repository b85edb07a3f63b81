"""Accounts: register, log in, and what a token is worth."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from pwdlib import PasswordHash

from tests.api.conftest import PASSWORD, SECRET, Api, Person, assert_problem, start

ADA = {"username": "Ada.L", "email": "Ada@Example.org", "password": PASSWORD}
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_a_new_account(api: Api) -> None:
    registered = await api.client.post("/auth/register", json=ADA)
    assert registered.status_code == 201
    account = registered.json()
    assert MOMENT.fullmatch(account["created_at"])
    assert account == {
        "id": account["id"],
        "username": "Ada.L",
        "email": "Ada@example.org",  # only the domain has no case
        "created_at": account["created_at"],
    }
    login = await api.client.post("/auth/login", json={"username": "ada.l", "password": PASSWORD})
    assert login.status_code == 200
    token = login.json()["access_token"]
    assert login.json() == {"access_token": token, "token_type": "bearer", "expires_in": 1800}
    for scheme in ("Bearer", "bearer", "BEARER"):
        mine = await api.client.get("/auth/me", headers={"Authorization": f"{scheme} {token}"})
        assert (mine.status_code, mine.json()) == (200, account)


async def test_the_form_of_oauth2_logs_in_too(api: Api) -> None:
    await api.client.post("/auth/register", json=ADA)
    credentials = {"username": "Ada.L", "password": PASSWORD}
    for extra in ({}, {"grant_type": "password", "scope": "", "client_id": "docs"}):
        login = await api.client.post("/auth/token", data=credentials | extra)
        assert login.status_code == 200
        token = login.json()["access_token"]
        assert login.json() == {"access_token": token, "token_type": "bearer", "expires_in": 1800}
        mine = await api.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert mine.json()["username"] == "Ada.L"
    assert_problem(await api.client.post("/auth/token", json=credentials), 415, "unsupported-media-type")
    assert_problem(await api.client.post("/auth/login", data=credentials), 415, "unsupported-media-type")
    other_grant = await api.client.post("/auth/token", data={**credentials, "grant_type": "client_credentials"})
    assert_problem(other_grant, 422, "invalid-request", "/grant_type")


async def test_names_and_addresses_are_taken_whatever_their_case(any_api: Api, me: Person) -> None:
    person = await any_api.person()
    name, email = person.username, f"{person.username}@example.org"
    for username, address, code in (
        (name.upper(), "another@example.org", "username-taken"),
        ("another", email.upper(), "email-taken"),
        (name, email, "username-taken"),
    ):
        account = {"username": username, "email": address, "password": PASSWORD}
        assert_problem(await any_api.client.post("/auth/register", json=account), 409, code)


@pytest.mark.parametrize(
    "password",
    ["1234567", "x7" * 513, "password", "PassWord123", "zzzzzzzzzz", "ada.l.2030", "ADA.L.2030", "ada@example.org"],
)
async def test_passwords_that_are_refused(api: Api, password: str) -> None:
    account = {"username": "ada.l.2030", "email": "ada@example.org", "password": password}
    refused = await api.client.post("/auth/register", json=account)
    assert_problem(refused, 422, "invalid-request", "/password")
    accepted = await api.client.post("/auth/register", json=account | {"password": PASSWORD})
    assert accepted.status_code == 201


async def test_passwords_count_to_their_last_character(api: Api) -> None:
    longest = "pass wörd🔑 " * 100 + "k" * 24
    assert len(longest) == 1024 + 100
    longest = longest[100:]
    for password in (longest, "8 chars!"):
        account = {"username": f"user-{len(password)}", "email": f"{len(password)}@example.org", "password": password}
        assert (await api.client.post("/auth/register", json=account)).status_code == 201
        for given, status in ((password, 200), (password[:-1] + "x", 401), (password[:-1], 401), (password + " ", 401)):
            login = await api.client.post("/auth/login", json={"username": account["username"], "password": given})
            assert login.status_code == (422 if len(given) > 1024 else status)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/token"])
async def test_an_unknown_name_looks_like_a_wrong_password(
    api: Api, me: Person, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = PasswordHash.verify

    def counted(self: PasswordHash, password: str, password_hash: str) -> bool:
        hashes.append(password_hash)
        return verify(self, password, password_hash)

    monkeypatch.setattr(PasswordHash, "verify", counted)
    answers = []
    for username in (me.username, "nobody", " ", "x" * 1000, "\u202eé\n"):
        body = {"username": username, "password": "not the password"}
        if path == "/auth/login":
            answer = await api.client.post(path, json=body)
        else:
            answer = await api.client.post(path, data=body)
        assert_problem(answer, 401, "wrong-credentials")
        answers.append((answer.headers["WWW-Authenticate"], answer.json() | {"request_id": ""}))
    assert answers == [answers[0]] * len(answers)
    assert answers[0][0] == "Bearer"
    work = {password_hash.rsplit("$", 2)[0] for password_hash in hashes}
    assert (len(hashes), work) == (len(answers), {"$argon2id$v=19$m=19456,t=2,p=1"})


def signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm)


def good(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})
    return claims


BAD_TOKENS: dict[str, Callable[[Person], str]] = {
    "of another secret": lambda me: signed(good(me), "t" * 32),
    "without a signature": lambda me: jwt.encode(good(me), "", "none"),
    "with a stripped signature": lambda me: me.token.rpartition(".")[0] + ".",
    "with another algorithm": lambda me: signed(good(me), SECRET * 2, "HS512"),
    "of another user under the same signature": lambda me: ".".join(
        [signed(good(me) | {"sub": "999"}).rpartition(".")[0], me.token.rpartition(".")[2]]
    ),
    "expired": lambda me: signed(good(me) | {"exp": datetime.now(UTC) - timedelta(seconds=1)}),
    "without an expiry": lambda me: signed({name: value for name, value in good(me).items() if name != "exp"}),
    "without a user": lambda me: signed({name: value for name, value in good(me).items() if name != "sub"}),
    "for no number": lambda me: signed(good(me) | {"sub": "me"}),
    "in two parts": lambda me: me.token.rpartition(".")[0],
    "with a break": lambda me: me.token[:20] + " " + me.token[20:],
    "of nothing": lambda me: "",
    "of dots": lambda me: "..",
    "of noise": lambda me: "-" * 5000,
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_token_is_worth_nothing(me: Person, kind: str) -> None:
    token = BAD_TOKENS[kind](me)
    for authorization in (f"Bearer {token}", f"Basic {me.token}", me.token, f"Bearer {me.token}, Bearer {me.token}"):
        answer = await me.api.client.get("/auth/me", headers={"Authorization": authorization})
        assert_problem(answer, 401, "not-authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_ends_after_its_time() -> None:
    now = NOON
    async with start(clock=lambda: now) as api:
        me = await api.person()
        for seconds, status in ((1799, 200), (1800, 401), (1801, 401)):
            now = NOON + timedelta(seconds=seconds)
            assert (await me.get("/auth/me")).status_code == status


async def test_a_token_outlives_nobody(any_api: Api) -> None:
    """A good token of a user that is not there (any more) opens nothing."""
    person = await any_api.person()
    for user_id in ("999999999", "0", "-1", str(2**63 - 1)):
        ghost = Person(any_api, "ghost", 0, signed(good(person) | {"sub": user_id}))
        for answer in (
            await ghost.get("/auth/me"),
            await ghost.post("/tasks", json={"title": "Haunt"}),
            await ghost.get("/tasks/stats"),
        ):
            assert_problem(answer, 401, "not-authenticated")


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "username": ["ab", "x" * 33, "a b", "a@b", "ädam", "ada\n", "", "\u0430da"],
        "email": [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "a da@example.org",
            "ada@exa_mple.org",
            "ada@example.org\n",
            "Ada <ada@example.org>",
            "ada@example.org, b@example.org",
            "ada@" + "a." * 130 + "org",
            "a" * 100_000 + "@example.org",
        ],
    }.items(),
)
async def test_names_and_addresses_that_are_none(api: Api, field: str, values: list[str]) -> None:
    for value in values:
        refused = await api.client.post("/auth/register", json={**ADA, field: value})
        assert_problem(refused, 422, "invalid-request", f"/{field}")


@pytest.mark.parametrize("email", ["ada+tasks@example.org", "ädä@bücher.example", "ada@host.test", "x@a.b.c.d.example"])
async def test_unusual_addresses(any_api: Api, email: str) -> None:
    name = (await any_api.person()).username[::-1]
    local, _, domain = email.partition("@")
    email = f"{local}{name[:20]}@{domain}"  # one that no other test has
    registered = await any_api.client.post("/auth/register", json={**ADA, "username": name, "email": email})
    assert (registered.status_code, registered.json().get("email")) == (201, email)
