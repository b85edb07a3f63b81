"""What the task routes take and answer."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema

from domain.errors import Invalid
from domain.task import (
    DESCRIPTION_MAX,
    TAG_MAX,
    TAGS_MAX,
    TITLE_MAX,
    Priority,
    TaskChanges,
    TaskId,
    checked_tags,
    checked_title,
)
from domain.task_list import SortBy, TaskFilter, TaskSort, words
from interfaces.http.deps import LARGEST
from interfaces.http.fields import Flag, In, MomentIn, MomentOut, Out, Text, one_of

BULK_MAX = 500
LIMIT_MAX = 100
QUERY_MAX = 200

Title = Annotated[
    Text, AfterValidator(checked_title), Field(json_schema_extra={"minLength": 1, "maxLength": TITLE_MAX})
]
Description = Annotated[Text, Field(max_length=DESCRIPTION_MAX)]
Tag = Annotated[Text, Field(json_schema_extra={"minLength": 1, "maxLength": TAG_MAX})]
Tags = Annotated[
    list[Tag],
    FailFast(),
    AfterValidator(lambda tags: list(checked_tags(tags))),
    Field(json_schema_extra={"maxItems": TAGS_MAX}),
]
PriorityIn = Annotated[
    Priority,
    BeforeValidator(one_of({priority.value: priority for priority in Priority})),
    WithJsonSchema({"type": "string", "enum": list(Priority)}),
]


class TaskIn(In):
    title: Title
    description: Description | None = None
    completed: bool = False
    priority: PriorityIn = Priority.MEDIUM
    due_at: MomentIn | None = None
    tags: Tags = Field(default_factory=list)

    def changes(self) -> TaskChanges:
        """What the client has given: all else stays, and is the default of `Task` at first."""
        return cast("TaskChanges", self.model_dump(exclude_unset=True))


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class TaskPatch(TaskIn):
    # A JSON merge patch (RFC 7396): what is absent stays; only `description` and `due_at` may be null.
    model_config = ConfigDict(json_schema_extra=_without_defaults)

    title: Title = ""


def _different(ids: list[TaskId]) -> list[TaskId]:
    if len(set(ids)) != len(ids):
        raise Invalid("An id is repeated.", reason="repeated")
    return ids


AnyId = Annotated[TaskId, Field(ge=1, le=LARGEST)]
Ids = Annotated[list[AnyId], Field(min_length=1, max_length=BULK_MAX), AfterValidator(_different)]


class BulkPatch(In):
    ids: Ids
    set: TaskPatch


class BulkIds(In):
    ids: Ids


class BulkUpdated(Out):
    updated: int
    ids: list[TaskId]


class BulkDeleted(Out):
    deleted: int
    ids: list[TaskId]


class TaskOut(Out):
    id: int
    title: str
    description: str | None
    completed: bool
    priority: Priority
    due_at: MomentOut | None
    tags: tuple[str, ...]
    created_at: MomentOut
    updated_at: MomentOut
    completed_at: MomentOut | None
    version: int
    file_count: int


class TasksOut(Out):
    items: list[TaskOut]
    next_cursor: str | None


LIMITS = {str(limit): limit for limit in range(1, LIMIT_MAX + 1)}
SORTS = {f"{sign}{by}": TaskSort(by, descending=bool(sign)) for by in SortBy for sign in ("", "-")}


def _count(value: Any) -> int:
    if not isinstance(value, str) or value not in LIMITS:
        raise Invalid(f"A number from 1 to {LIMIT_MAX}.", reason="limit")
    return LIMITS[value]


class TaskListIn(BaseModel):
    """The query of a list."""

    model_config = ConfigDict(frozen=True)

    completed: Flag | None = None
    priority: PriorityIn | None = None
    tag: Annotated[list[Text], Field(max_length=TAGS_MAX, description="All of these.")] = []
    any_tag: Annotated[list[Text], Field(max_length=TAGS_MAX, description="At least one of these.")] = []
    due_before: Annotated[MomentIn | None, Field(description="Exclusive.")] = None
    due_after: Annotated[MomentIn | None, Field(description="Inclusive.")] = None
    q: Annotated[
        Text, Field(max_length=QUERY_MAX, description="Words or prefixes that title or description all have.")
    ] = ""
    sort: Annotated[
        TaskSort,
        BeforeValidator(one_of(SORTS)),
        WithJsonSchema({"type": "string", "enum": list(SORTS)}),
        Field(validate_default=True),
    ] = cast("TaskSort", "-created_at")
    limit: Annotated[
        int, BeforeValidator(_count), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX})
    ] = 20
    cursor: str | None = None

    def filter(self) -> TaskFilter:
        return TaskFilter(
            completed=self.completed,
            priority=self.priority,
            tags=tuple(self.tag),
            any_tags=tuple(self.any_tag),
            due_before=self.due_before,
            due_after=self.due_after,
            words=tuple(words(self.q)),
        )
