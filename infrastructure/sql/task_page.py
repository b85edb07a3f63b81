"""The SQL of a page of tasks: the translation of `TaskFilter.matches` and `TaskSort`, which define what it means."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, cast, exists, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from domain.task_list import Position, SortBy, TaskFilter, TaskQuery, TaskSort
from domain.user import UserId
from infrastructure.sql.tables import tasks

SORTED: dict[SortBy, ColumnElement[Any]] = {
    SortBy.CREATED_AT: tasks.c.created_at,
    SortBy.DUE_AT: tasks.c.due_at,
    SortBy.PRIORITY: tasks.c.priority,
    SortBy.TITLE: tasks.c.title_folded,
    SortBy.UPDATED_AT: tasks.c.updated_at,
}


def page(statement: Select[Any], query: TaskQuery, owner: UserId, dialect: str) -> Select[Any]:
    value = SORTED[query.sort.by]
    conditions = [tasks.c.owner_id == owner, *_conditions(query.filter, dialect)]
    if query.after is not None:
        conditions.append(_behind(query.sort, query.after))
    direction = [column.desc() if query.sort.descending else column.asc() for column in (value, tasks.c.id)]
    direction[0] = direction[0].nulls_last() if query.sort.by is SortBy.DUE_AT else direction[0]
    return statement.where(*conditions).order_by(*direction).limit(query.limit + 1)


def _conditions(wanted: TaskFilter, dialect: str) -> Iterator[ColumnElement[bool]]:
    if wanted.completed is not None:
        yield tasks.c.completed_at.is_not(None) if wanted.completed else tasks.c.completed_at.is_(None)
    if wanted.priority is not None:
        yield tasks.c.priority == wanted.priority
    if wanted.due_before is not None:
        yield tasks.c.due_at < wanted.due_before
    if wanted.due_after is not None:
        yield tasks.c.due_at >= wanted.due_after
    for word in wanted.words:  # letters and digits only: nothing in it to escape
        yield tasks.c.search_text.like(f"% {word}%")
    if wanted.tags or wanted.any_tags:
        yield from (_tagged_on_postgresql if dialect == "postgresql" else _tagged_on_sqlite)(wanted)


def _tagged_on_postgresql(wanted: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.tags:
        yield tasks.c.tags.bool_op("@>")(literal(wanted.tags, tasks.c.tags.type))
    if wanted.any_tags:
        yield tasks.c.tags.bool_op("?|")(cast(literal(list(wanted.any_tags), ARRAY(TEXT)), ARRAY(TEXT)))


def _tagged_on_sqlite(wanted: TaskFilter) -> Iterator[ColumnElement[bool]]:
    for any_of in [*([tag] for tag in wanted.tags), *([wanted.any_tags] if wanted.any_tags else [])]:
        each = func.json_each(tasks.c.tags).table_valued("value")
        yield exists(select(each.c.value).where(each.c.value.in_(any_of)))


def _behind(sort: TaskSort, position: Position) -> ColumnElement[bool]:
    value = SORTED[sort.by]
    later_id = tasks.c.id < position.id if sort.descending else tasks.c.id > position.id
    if position.value is None:  # among those without a date, which come last
        return and_(value.is_(None), later_id)
    here = tuple_(value, tasks.c.id)
    there = tuple_(literal(position.value, value.type), literal(position.id, tasks.c.id.type))
    behind = here < there if sort.descending else here > there
    return or_(behind, value.is_(None)) if sort.by is SortBy.DUE_AT else behind
