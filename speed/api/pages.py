"""The page at `/`: static files, which load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from speed.api import problems
from speed.api.problems import ProblemError
from speed.api.routes import new_router

FOLDER = Path(__file__).parent / "page"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = new_router()
static = StaticFiles(directory=FOLDER, check_dir=False)


@router.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    if not (file := FOLDER / "index.html").is_file():
        raise ProblemError(problems.NOT_FOUND, "This server has no page; /openapi.json lists what it has.")
    return FileResponse(file, headers=HEADERS)
