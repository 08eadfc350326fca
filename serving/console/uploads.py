"""Files on their way in: bytes from a request to the workbench, counted while they arrive, parsed in threads."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from serving.console import texts
from serving.console.messages import say
from serving.console.ports import DatasetFacts, Refused, Wiring
from serving.errors import Problem, ProblemKind

_CHUNK = 1 << 20
_FORM_SLACK = 64 * 1024
"""What a form may weigh beside its file."""


async def from_body(
    wiring: Wiring, request: Request, *, filename: str, template: str, principal: str, language: str = "en"
) -> DatasetFacts:
    """Take the body itself as the file.

    Raises:
        Refused: too large, empty, no table.
    """
    refuse_announced(wiring, request, language)
    upload = await run_in_threadpool(wiring.workbench.receive)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > wiring.max_upload_bytes:
                raise too_large(wiring, language)
            await run_in_threadpool(upload.write, chunk)
        return await run_in_threadpool(upload.finish, filename, template, principal)
    except ClientDisconnect as error:
        raise Refused(Problem(ProblemKind.INVALID, "The upload was broken off; nothing of it was kept.")) from error
    finally:
        await run_in_threadpool(upload.abort)


async def from_form(wiring: Wiring, file: UploadFile, *, template: str, principal: str) -> DatasetFacts:
    """Take the file of a form.

    Raises:
        Refused: empty, no table.
    """
    upload = await run_in_threadpool(wiring.workbench.receive)
    try:
        while chunk := await file.read(_CHUNK):
            await run_in_threadpool(upload.write, chunk)
        return await run_in_threadpool(upload.finish, filename_of(file.filename), template, principal)
    finally:
        await run_in_threadpool(upload.abort)


def refuse_announced(wiring: Wiring, request: Request, language: str, *, measured: bool = False) -> None:
    """Refuse a body that announces itself as too large, before its first byte is read; ``measured`` ones have to announce themselves.

    Raises:
        Refused: 413, or 422.
    """
    announced = request.headers.get("content-length", "")
    if measured and not announced.isdigit():
        raise Refused(Problem(ProblemKind.INVALID, "A form has to say how long it is (Content-Length); send the file as the body instead."))
    if announced.isdigit() and int(announced) > wiring.max_upload_bytes + _FORM_SLACK:
        raise too_large(wiring, language)


def too_large(wiring: Wiring, language: str) -> Refused:
    """413, with the limit."""
    return Refused(Problem(ProblemKind.TOO_LARGE, say(language, "error.413.text", size=texts.size(wiring.max_upload_bytes))))


def filename_of(name: str | None) -> str:
    """The last part of a file's name, as a browser or a header gives it."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char.isprintable())[:200] or "table.csv"
