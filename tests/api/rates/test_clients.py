"""Who is counted, and which requests."""

from ipaddress import ip_network

import httpx2
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request

from infrastructure.memory.rates import MemoryRateStore
from interfaces.http.limiter import limiter, per_address
from tests.api.rates.limited_app import client_of, make_app, passed


async def test_a_user_is_counted_wherever_he_is_and_others_by_address(router: APIRouter, app: FastAPI) -> None:
    @router.get("/plain")
    async def plain() -> None: ...

    async with client_of(app) as here, client_of(app, address="192.0.2.2") as there:
        assert await passed(here, "/plain", headers={"x-user": "1"}) == 4
        assert await passed(there, "/plain", headers={"x-user": "1"}) == 0
        assert await passed(there, "/plain", headers={"x-user": "2"}) == 4
        assert [await passed(here, "/plain"), await passed(there, "/plain")] == [4, 4]


async def test_login_is_counted_by_address_whatever_the_token(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.post("/login")
    @limiter.budget("login")
    async def login() -> None: ...

    statuses = [(await client.post("/login", headers={"x-user": str(user)})).status_code for user in range(1, 5)]
    assert statuses == [200, 200, 200, 429]


async def test_a_limit_can_be_per_address_for_users_too(router: APIRouter, client: httpx2.AsyncClient) -> None:
    @router.get("/limited")
    @limiter.limit("2/minute", key_func=per_address)
    async def limited() -> None: ...

    assert await passed(client, "/limited", headers={"x-user": "1"}) == 2
    assert await passed(client, "/limited", headers={"x-user": "2"}) == 0


async def test_an_account_is_counted_over_all_addresses_in_any_spelling(router: APIRouter, app: FastAPI) -> None:
    @router.post("/login/{name}")
    @limiter.budget("login")
    async def login(request: Request, name: str) -> None:
        await request.app.state.rates.check_account(request, name)

    names = ["ann", "Ann", " ANN ", "ann", "bob"]
    answers = []
    for number, name in enumerate(names):
        async with client_of(app, address=f"192.0.2.{number}") as client:
            answers.append(await client.post(f"/login/{name}"))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0", "2"]
    assert answers[3].text == "Rate limit exceeded: 3 per 1 minute"
    assert answers[3].headers["ratelimit-policy"] == (
        '"login-3-per-60s";q=3;w=60, "login-5-per-3600s";q=5;w=3600, '
        '"login-account-3-per-60s";q=3;w=60, "login-account-5-per-3600s";q=5;w=3600'
    )


async def test_what_is_refused_later_counts_and_what_is_no_route_does_not(
    router: APIRouter, client: httpx2.AsyncClient
) -> None:
    async def nobody() -> None:
        raise HTTPException(401)

    @router.post("/limited", dependencies=[Depends(nobody)])
    @limiter.limit("2/minute")
    async def limited(numbers: list[int]) -> None: ...

    requests = [("GET", "/limited", ""), ("POST", "/unknown", "[1]")]
    requests += [("POST", "/limited", body) for body in ("[", "[1]", "[1]")]
    client.headers["Content-Type"] = "application/json"
    answers = [await client.request(method, path, content=body) for method, path, body in requests]
    assert [answer.status_code for answer in answers] == [405, 404, 422, 401, 429]
    assert ["x-ratelimit-limit" in answer.headers for answer in answers] == [False, False, True, True, True]


async def test_a_rotating_header_from_a_peer_that_is_no_proxy_changes_nothing(router: APIRouter) -> None:
    @router.get("/plain")
    async def plain() -> None: ...

    app = make_app(router, MemoryRateStore(), trusted_proxies=[ip_network("10.0.0.1")])
    async with client_of(app) as client, client_of(app, address="10.0.0.1") as proxy:
        forged = [{"x-forwarded-for": f"198.51.100.{number}"} for number in range(8)]
        direct = [(await client.get("/plain", headers=headers)).status_code for headers in forged]
        behind = [(await proxy.get("/plain", headers=headers)).status_code for headers in forged]
    assert direct == [200] * 4 + [429] * 4
    assert behind == [200] * 8


async def test_two_apps_in_one_process_share_nothing(router: APIRouter) -> None:
    @router.get("/limited")
    @limiter.limit("2/minute")
    async def limited() -> None: ...

    @router.get("/plain")
    async def plain() -> None: ...

    for _ in range(2):
        async with client_of(make_app(router, MemoryRateStore())) as client:
            assert [await passed(client, "/limited"), await passed(client, "/plain")] == [2, 4]


async def test_limits_can_be_switched_off(router: APIRouter) -> None:
    @router.get("/limited")
    @limiter.limit("1/minute")
    async def limited(request: Request) -> None:
        await request.app.state.rates.check_account(request, "ann")

    async with client_of(make_app(router, MemoryRateStore(), enabled=False)) as client:
        assert await passed(client, "/limited") == 20
        assert "x-ratelimit-limit" not in (await client.get("/limited")).headers
