"""/auth"""

from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Form, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from application.accounts import GetUser, Login, Register
from application.ports import AccessToken
from domain.errors import Invalid
from domain.user import EMAIL_MAX, PASSWORD_MAX, PASSWORD_MIN, USERNAME, checked_username
from interfaces.http.deps import Actor, Use
from interfaces.http.document import can_refuse
from interfaces.http.fields import In, MomentOut, Out, Text
from interfaces.http.limiter import limiter
from interfaces.http.routing import Route

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=Route)


def _email(address: str) -> str:
    try:
        # The DNS is not asked, so that a name which it never has (.test, RFC 6761) is as good as others.
        return validate_email(address, test_environment=True).normalized
    except EmailNotValidError:
        raise Invalid("Not an e-mail address.", reason="email") from None


Username = Annotated[
    Text, AfterValidator(checked_username), Field(json_schema_extra={"pattern": f"^{USERNAME.pattern}$"})
]
# Its length is judged first: the validator takes long for long ones.
Email = Annotated[Text, Field(max_length=EMAIL_MAX, json_schema_extra={"format": "email"}), AfterValidator(_email)]
Password = Annotated[
    Text, Field(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX, json_schema_extra={"format": "password"})
]
# At login nothing is judged but the credentials themselves; the bounds keep hostile ones cheap.
AnyName = Annotated[Text, Field(max_length=1024)]
AnyPassword = Annotated[Text, Field(max_length=PASSWORD_MAX, json_schema_extra={"format": "password"})]


class RegisterIn(In):
    username: Username
    email: Email
    password: Password


class LoginIn(In):
    username: AnyName
    password: AnyPassword


class PasswordForm(BaseModel):
    # RFC 6749, 4.3.2. Clients add fields of their own to it (`scope`, `client_id`), which don't matter here.
    model_config = ConfigDict(frozen=True)

    grant_type: Literal["password"] = "password"  # the name of a grant
    username: AnyName
    password: AnyPassword


class UserOut(Out):
    id: int
    username: str
    email: str
    created_at: MomentOut


class TokenOut(Out):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 # the name of a scheme
    expires_in: int

    @classmethod
    def of(cls, token: AccessToken) -> "TokenOut":
        return cls(access_token=token.token, expires_in=token.expires_in)


@router.post("/register", status_code=201, responses=can_refuse(409))
@limiter.budget("register")
async def register(body: RegisterIn, register: Use[Register]) -> UserOut:
    return UserOut.of(await register(username=body.username, email=body.email, password=body.password))


@router.post("/login", responses=can_refuse(401))
@limiter.budget("login")
async def login(body: LoginIn, request: Request, login: Use[Login]) -> TokenOut:
    return await _login(request, login, body)


@router.post("/token", responses=can_refuse(401))
@limiter.budget("login")
async def token(form: Annotated[PasswordForm, Form()], request: Request, login: Use[Login]) -> TokenOut:
    # The same as a form, for the Authorize button of the docs page.
    return await _login(request, login, form)


async def _login(request: Request, login: Login, credentials: LoginIn | PasswordForm) -> TokenOut:
    await request.app.state.rates.check_account(request, credentials.username)
    return TokenOut.of(await login(username=credentials.username, password=credentials.password))


@router.get("/me")
async def me(actor: Actor, get_user: Use[GetUser]) -> UserOut:
    return UserOut.of(await get_user(actor))
