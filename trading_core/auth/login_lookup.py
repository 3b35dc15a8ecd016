"""Logins looked up together: whoever asks while a reading is under way shares the next one."""

from __future__ import annotations

import asyncio

from trading_core.persistence.identity_records import Login, User
from trading_core.persistence.session import Database

Found = tuple[Login, User] | None
MOST = 500  # logins of one statement


class LoginLookup:
    """Every answer was read after it was asked for. A thousand people who come at once cost a few statements."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted: dict[str, asyncio.Future[Found]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, login_id: str) -> Found:
        """A login and its user; None when there is no such login.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        answer = self._wanted.get(login_id)
        if answer is None:
            answer = self._wanted[login_id] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="login lookup")
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        try:
            while self._wanted:
                ids = list(self._wanted)[:MOST]
                wanted = {login_id: self._wanted.pop(login_id) for login_id in ids}
                await self._read(wanted)
        finally:
            self._task = None
            for answer in self._wanted.values():  # only when this task was cancelled
                answer.cancel()
            self._wanted.clear()

    async def _read(self, wanted: dict[str, asyncio.Future[Found]]) -> None:
        try:
            async with self._database.reading() as uow:
                found = await uow.logins.with_users(wanted)
        except BaseException as error:
            for answer in wanted.values():
                if isinstance(error, Exception):
                    answer.set_exception(error)
                    answer.exception()  # seen: whoever waited may have left
                else:
                    answer.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for login_id, answer in wanted.items():
                answer.set_result(found.get(login_id))
