"""Who may do what, how much at once, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from jobs.cli import app as cli
from speed.api.__main__ import main
from speed.api.app import check_settings, create_app
from speed.api.keys import Keys, add_key, read_keys, revoke_key
from speed.errors import SpeedError
from tests.api import client_of, key_header, settings_of, small_lake, vector

READ = [
    "/v1/forms/a",
    "/v1/model",
    "/v1/generations",
    "/v1/status",
    "/v1/retrain",
    "/metrics",
]
SCORE = ["/v1/predict", "/v1/predict/batch"]
NEEDED = (
    {("GET", path): "read" for path in READ}
    | {("POST", "/v1/forms:lookup"): "read", ("GET", "/v1/report"): "read"}
    | {("POST", path): "score" for path in SCORE}
    | {("POST", "/v1/retrain"): "retrain", ("GET", "/v1/retrain/x"): "retrain"}
)
FREE = ["/healthz", "/readyz", "/openapi.json", "/"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_lake(tmp_path_factory.mktemp("lake"))


def _codes(client: TestClient, headers: dict[str, str]) -> dict[tuple[str, str], str]:
    """no-key, no-scope, or passed: whatever comes after."""

    def code(method: str, path: str) -> str:
        answer = client.request(method, path, headers=headers)
        kind = answer.json()["type"].rpartition(":")[2] if answer.status_code in (401, 403) else ""
        return kind or "passed"

    return {one: code(*one) for one in NEEDED}


def test_each_route_asks_for_its_scope(lake: Path) -> None:
    with TestClient(create_app(settings_of(lake))) as client:
        assert set(_codes(client, {}).values()) == {"no-key"}
        assert set(_codes(client, {"Authorization": "Bearer fc_0_0"}).values()) == {"no-key"}
        for scope in ("read", "score", "retrain"):
            expected = {one: "passed" if needed == scope else "no-scope" for one, needed in NEEDED.items()}
            header = key_header(lake, scope)
            _wait_until(lambda header=header: _codes(client, header) != dict.fromkeys(NEEDED, "no-key"))
            assert _codes(client, header) == expected
        assert {client.get(path).status_code for path in FREE} <= {200, 404}


def test_open_api_reads_and_scores_for_its_own_machine_and_never_retrains(lake: Path) -> None:
    with TestClient(create_app(settings_of(lake, api_open=True)), client=("127.0.0.1", 1)) as client:
        assert _codes(client, {}) == {
            one: "no-key" if needed == "retrain" else "passed" for one, needed in NEEDED.items()
        }
    with TestClient(create_app(settings_of(lake, api_open=True)), client=("10.0.0.7", 1)) as client:
        answer = client.get("/v1/forms/a")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:formcast:problem:not-local")


def test_open_api_does_not_start_where_others_could_reach_it(lake: Path) -> None:
    with pytest.raises(SpeedError, match="to listen on 0"):
        check_settings(settings_of(lake, api_open=True, host="0.0.0.0"))  # noqa: S104
    with pytest.raises(SpeedError, match="FORMCAST_KEYS_FILE"):
        check_settings(settings_of(lake, lake="s3://bucket/lake"))


def test_keys_are_hashed_private_and_told_once(tmp_path: Path) -> None:
    path = tmp_path / "serving" / "keys.json"
    presented = add_key(path, ["read"], "page")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert presented.rpartition("_")[2] not in path.read_text()
    (kept,) = read_keys(path)
    assert (kept.id, kept.scopes, kept.note) == (presented.split("_")[1], ("read",), "page")
    keys = Keys(path)
    assert keys.verify(presented) == kept
    wrong = [presented[:-1], presented + "0", presented.upper(), f"fc_{kept.id}_", f"fc_{kept.id}", "fc_", "", "é"]
    assert [keys.verify(one) for one in wrong] == [None] * len(wrong)


def test_keys_are_followed_when_they_change_and_kept_when_they_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    keys = Keys(path)
    assert not revoke_key(path, "nobody") and not path.exists()
    first, second = add_key(path, ["read"]), add_key(path, ["score"])
    keys.look()
    assert keys.verify(first) and keys.verify(second)
    assert revoke_key(path, first.split("_")[1]) and not revoke_key(path, "nobody")
    keys.look()
    assert keys.verify(first) is None and keys.verify(second)
    path.write_text("[{]")
    keys.look()
    assert keys.verify(second)
    with pytest.raises(SpeedError, match="cannot be read"):
        add_key(path, ["read"])
    assert path.read_text() == "[{]"
    path.unlink()
    keys.look()
    assert keys.verify(second) is None

    third = add_key(path, ["read"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError("not for you")))
        keys.look()
    assert keys.verify(third) is None
    keys.look()  # a right that was given back changes nothing of the file
    assert keys.verify(third)


def test_keys_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["keys", *arguments, "--lake", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output.strip()

    presented = run("add", "--scopes", "score, read", "--note", "page")
    key_id = presented.split("_")[1]
    assert run("list").split()[0::3] == [key_id, "read,score"]
    run("revoke", key_id)
    assert run("list") == ""


def test_too_much_at_once_is_told_to_come_back(lake: Path) -> None:
    """A key has one request at once, a worker two: of three slow ones by two keys, each limit refuses one."""

    async def ask() -> list[tuple[int, str, str | None]]:
        app = create_app(settings_of(lake, max_in_flight=2, max_in_flight_per_key=1))
        service = app.state.service
        one, other = key_header(lake, "score"), key_header(lake, "read", "score")
        service.live.look()
        service.keys.look()
        release = asyncio.Event()

        async def slow_body():
            await release.wait()
            yield json.dumps({"features": vector()}).encode()

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = asyncio.create_task(client.post("/v1/predict", content=slow_body(), headers=one))
            await asyncio.sleep(0)
            answers = [await client.post("/v1/predict", json={"features": vector()}, headers=one)]
            second = asyncio.create_task(client.post("/v1/predict", content=slow_body(), headers=other))
            await asyncio.sleep(0)
            answers += [await client.get(path) for path in ("/openapi.json", "/readyz", "/healthz")]
            release.set()
            answers += [await first, await second, await client.get("/readyz")]
            service.live.close()
        return [
            (a.status_code, a.json().get("type", "").rpartition(":")[2], a.headers.get("retry-after"))
            for a in answers
        ]

    good = (200, "", None)
    assert asyncio.run(ask()) == [(429, "too-many", "1"), (503, "busy", "1"), good, good, good, good, good]


def test_a_large_body_that_does_not_come_gives_its_place_to_others(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speed.api.service.BODY_SECONDS", 2)  # in which the other body must be read
    monkeypatch.setattr("speed.api.service.LARGE_BODIES", 1)

    async def ask() -> list[int]:
        app, headers = create_app(settings_of(lake)), key_header(lake, "read")
        app.state.service.live.look()
        app.state.service.keys.look()

        async def stalled() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(300)

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            slow = client.post("/v1/forms:lookup", content=stalled())
            answers = await asyncio.gather(slow, client.post("/v1/forms:lookup", json={"form_ids": ["a"]}))
        app.state.service.live.close()
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [408, 200]


def test_a_bug_is_answered_as_one_and_keeps_its_trace_to_the_log(
    lake: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(lake) as client:
        monkeypatch.setattr(client.app.state.service.live, "find", lambda _: 1 / 0)
        answer = client.get("/v1/forms/a", headers={"X-Request-ID": "r-7"})
    assert answer.json() == {
        "type": "urn:formcast:problem:unexpected",
        "title": "Something unexpected went wrong",
        "status": 500,
        "detail": "This is a bug: the server's log has its trace.",
        "request_id": "r-7",
    }
    (record,) = [record for record in caplog.records if record.name == "formcast.api"]
    assert record.getMessage() == "Request r-7 ended in a bug."
    assert record.exc_info[0] is ZeroDivisionError


def test_access_log_has_a_line_a_request_and_no_secret(lake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    headers = key_header(lake, "read", "score")
    with TestClient(create_app(settings_of(lake, access_log=True)), client=("127.0.0.1", 1)) as client:
        client.get("/v1/forms/a?token=hush", headers=headers | {"X-Request-ID": "r-1"})
        client.get("/v1/forms/nobody", headers=headers | {"X-Request-ID": "bad id"})
        client.post("/v1/predict", headers={"Authorization": "Bearer fc_hush_hush"})
    out = capfd.readouterr().out
    assert "hush" not in out and headers["Authorization"].rpartition("_")[2] not in out
    lines = [json.loads(line) for line in out.splitlines()]
    key_id = headers["Authorization"].split("_")[1]
    told = [(one["path"], one["route"], one["status"], one.get("key"), one.get("problem")) for one in lines]
    assert told == [
        ("/v1/forms/a", "/v1/forms/{form_id}", 400, key_id, "bad-request"),
        ("/v1/forms/nobody", "/v1/forms/{form_id}", 404, key_id, "unknown-form"),
        ("/v1/predict", "unmatched", 401, None, "no-key"),
    ]
    assert lines[0]["request_id"] == "r-1"
    assert len({one["request_id"] for one in lines}) == 3 and lines[1]["request_id"] != "bad id"


def _wait_until(holds, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_page_loads_from_nowhere_else(lake: Path) -> None:
    with TestClient(create_app(settings_of(lake))) as client:
        answer = client.get("/")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_server_says_in_one_sentence_why_it_does_not_start(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "keys.json"
    broken.write_text("{")
    key_header(lake)
    monkeypatch.setenv("FORMCAST_LAKE", str(lake))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for settings, code, sentence in (
            ({"FORMCAST_PORT": port}, 4, f"Port {port} of 127.0.0.1 cannot be listened on"),
            ({"FORMCAST_KEYS_FILE": str(broken)}, 2, f"The API keys in {broken} cannot be read"),
            ({"FORMCAST_STORE": "dynamodb"}, 2, "FORMCAST_STORE=dynamodb needs the name of a table"),
            ({"FORMCAST_WORKERS": "0"}, 2, "The setting FORMCAST_WORKERS cannot be '0'"),
        ):
            with monkeypatch.context() as patch:
                for name, value in settings.items():
                    patch.setenv(name, value)
                assert main() == code
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"formcast: {sentence}")
