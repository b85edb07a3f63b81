"""The reconciler: brings bytes and records that parted together again, and counts anew what was counted wrong."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from math import inf
from typing import ClassVar, Protocol, TypeAlias

from application.ports import Clock, FileStorage, StoredContent, UnitOfWork
from domain.file import FileContentMissing, FileNotFound, TaskFile
from domain.upload import SILENCE
from domain.user import NotAuthenticated, UserId

PAGE = 5000  # to list a part of a folder, all of it is read
SHOWN = 100  # of each kind; the others are only counted
LAST = "\U0010ffff"  # behind every name


class Wrong(StrEnum):
    ABANDONED = "abandoned_uploads"  # not heard of for the minimum age: its process is gone
    STRAY = "stray_contents"  # bytes that no record and no upload knows, or ever will
    MISSING = "missing_contents"  # a record without its bytes
    WRONG_SIZE = "wrong_sizes"  # a record whose bytes are more or fewer than it says
    MISCOUNTED = "miscounted_users"  # what is kept beside a user's tasks and files is not what these say


@dataclass(slots=True)
class Found:
    """Of one kind: how many there were, how many of them are mended, and the names or ids of the first."""

    total: int = 0
    mended: int = 0
    first: list[str | int] = field(default_factory=list)

    def add(self, which: str | int, *, mended: bool) -> None:
        self.total += 1
        self.mended += mended
        if len(self.first) < SHOWN:
            self.first.append(which)

    @property
    def left(self) -> int:
        return self.total - self.mended


@dataclass(slots=True)
class Findings:
    """What was wrong with how many `contents` in the storage and `records` in the database."""

    contents: int = 0
    records: int = 0
    wrong: dict[Wrong, Found] = field(default_factory=lambda: {kind: Found() for kind in Wrong})

    @property
    def left(self) -> int:
        """How many are not mended."""
        return sum(found.left for found in self.wrong.values())


class Chronicle(Protocol):
    """Where operators read what the reconciler did."""

    def removed(self, file: TaskFile, why: Wrong) -> None: ...

    def finished(self, findings: Findings) -> None: ...


Looked: TypeAlias = Callable[[int, int], object]  # called with how much was looked at, of about how much


@dataclass(frozen=True, slots=True)
class Belief:
    """How much may be wrong to be true: a `share` of all, and `lost` files and `strays` however few there are.

    More is left alone. A folder that is not mounted has lost all files, to an empty database all bytes are strays.
    """

    lost: float
    strays: float
    share: float

    def limits(self, findings: Findings) -> Mapping[Wrong, float]:
        """How many of each kind may be mended, of those that were seen."""
        totals: dict[Wrong, float] = {kind: found.total for kind, found in findings.wrong.items()}
        if totals[Wrong.MISSING] + totals[Wrong.WRONG_SIZE] > max(self.lost, self.share * findings.records):
            totals[Wrong.MISSING] = totals[Wrong.WRONG_SIZE] = 0
        if totals[Wrong.STRAY] > max(self.strays, self.share * findings.contents):
            totals[Wrong.STRAY] = 0
        return totals


BY_ITSELF = Belief(lost=0, strays=100, share=0.5)  # a crash may leave a hundred strays
BY_AN_OPERATOR = Belief(lost=10, strays=100, share=0.9)
WHATEVER_IT_FINDS = Belief(lost=inf, strays=inf, share=1)


@dataclass(frozen=True, slots=True)
class ReconcileFiles:
    """May run at any time and anywhere, twice at once, and be killed: the next run does what is left.

    It looks before it mends, and mends no more than it has seen and has the `belief` for.
    """

    job_name: ClassVar[str] = "reconcile-files"
    work: UnitOfWork
    storage: FileStorage
    clock: Clock
    min_age: timedelta
    chronicle: Chronicle

    async def __call__(
        self, *, fix: bool = True, belief: Belief = BY_ITSELF, looked: Looked = lambda at, of: None
    ) -> Findings:
        now = self.clock()
        long_ago = now - self.min_age
        # First of all: what no upload and no record knows from here on will never be recorded.
        abandoned = await self._abandon(now - max(self.min_age, SILENCE), fix=fix)
        compare = partial(_Comparison, self.work, self.storage, self.chronicle, long_ago, looked)
        findings = await compare({}).run()
        if fix and findings.left:
            findings = await compare(belief.limits(findings)).run()
        findings.wrong[Wrong.ABANDONED] = Found(abandoned, mended=abandoned if fix else 0)
        await self._recount(findings.wrong[Wrong.MISCOUNTED], fix=fix)
        if fix:
            self.chronicle.finished(findings)
        return findings

    async def _abandon(self, unseen_since: datetime, *, fix: bool) -> int:
        if not fix:
            async with self.work.read() as tx:
                return await tx.uploads.unseen(since=unseen_since)
        async with self.work.write() as tx:
            return await tx.uploads.abandon(unseen_since=unseen_since)

    async def _recount(self, miscounted: Found, *, fix: bool) -> None:
        owner = UserId(0)
        while True:
            async with self.work.read() as tx:
                audited = await tx.stats.audit(after=owner)
            if not audited:
                return
            for owner, right in audited:
                if not right and (not fix or await self._recounted(owner)):
                    miscounted.add(owner, mended=fix)

    async def _recounted(self, owner: UserId) -> bool:
        try:
            async with self.work.write() as tx:
                return await tx.stats.recount(owner)
        except NotAuthenticated:
            return False


@dataclass(slots=True)
class _Comparison:
    """Goes through storage and records side by side, in the order of names; mends so many of each kind as it may."""

    work: UnitOfWork
    storage: FileStorage
    chronicle: Chronicle
    long_ago: datetime
    looked: Looked
    may_mend: Mapping[Wrong, float]
    findings: Findings = field(default_factory=Findings)

    async def run(self) -> Findings:
        async with self.work.read() as tx:
            about = await tx.files.count()
        after = ""
        while page := await self.storage.page(after=after, limit=PAGE):
            unrecorded = {content.name: content for content in page}
            await self._compare(unrecorded, after, page[-1].name)
            await self._remove_strays(unrecorded.values())
            after = page[-1].name
            self.findings.contents += len(page)
            self.looked(self.findings.contents, about)
        await self._compare({}, after, LAST)
        return self.findings

    async def _compare(self, contents: dict[str, StoredContent], after: str, upto: str) -> None:
        """Take those from the contents that are recorded."""
        while True:
            async with self.work.read() as tx:
                files = await tx.files.page(after=after, upto=upto)
            if not files:
                return
            for file in files:
                content = contents.pop(file.stored_name, None)
                if content is None or content.size != file.file_size:
                    await self._look_again(file)
            after = files[-1].stored_name
            self.findings.records += len(files)

    async def _remove_strays(self, unrecorded: Iterable[StoredContent]) -> None:
        old = {one.name: one.draft_of or one.name for one in unrecorded if one.written_at < self.long_ago}
        async with self.work.read() as tx:
            known = await tx.uploads.known(list(old.values()))
        for name in [name for name, put_as in old.items() if put_as not in known]:
            if may := self._may(Wrong.STRAY):
                await self.storage.delete(name)
            self.findings.wrong[Wrong.STRAY].add(name, mended=may)

    def _may(self, kind: Wrong) -> bool:
        return self.findings.wrong[kind].mended < self.may_mend.get(kind, 0)

    async def _look_again(self, file: TaskFile) -> None:
        """It may have been added or deleted since the page was listed: look for its bytes, and then for its record."""
        try:
            kind = Wrong.WRONG_SIZE
            if await self.storage.size(file.stored_name) == file.file_size:
                return
        except FileContentMissing:
            kind = Wrong.MISSING
        try:
            if may := self._may(kind):
                await self._remove(file, kind)
            else:
                async with self.work.read() as tx:
                    await tx.files.get(file.id, owner=file.owner_id)
        except FileNotFound:
            return
        self.findings.wrong[kind].add(file.id, mended=may)

    async def _remove(self, file: TaskFile, why: Wrong) -> None:
        """The record first: without it, bytes that are left are strays."""
        async with self.work.write() as tx:
            await tx.files.delete(await tx.files.get(file.id, owner=file.owner_id))
        self.chronicle.removed(file, why)
        await self.storage.delete(file.stored_name)
