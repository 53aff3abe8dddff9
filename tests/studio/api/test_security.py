"""Who may talk to the studio, on every route there is, and what its pages may do."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from studio.api.footage import UPLOADS as VIDEO_UPLOADS
from studio.api.inline_scripts import InlineScripts
from studio.api.projects import UPLOADS as PROJECT_UPLOADS
from studio.api.security import MOST_BODY, Guard, Login, check_host, parse_login
from studio.domain.errors import WrongUse
from studio.service.studio import Service
from studio.store.upgrade import open_database
from studio.web.app import make_app
from tests.fakes.asgi import HERE, Answer, ask, run

UPLOADS = (*PROJECT_UPLOADS, *VIDEO_UPLOADS)
LOGIN = Login(user="mira", password="café:1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("studio")
    database = open_database(root)
    yield Service(root, database)
    database.close()


async def made(service: Service, **options: Any) -> ASGIApp:
    """The whole studio, with its page; outside of a loop, Gradio opens some that it never closes."""
    return make_app(service, **options)


@pytest.fixture(scope="module")
def app(service: Service) -> ASGIApp:
    return run(made(service, hosts=("Studio.example.org",)))


def table(routes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of all routes, those of routers and apps within included."""
    for route in routes:
        inner = getattr(route, "original_router", route)
        included = getattr(route, "include_context", None)
        path = prefix + (getattr(route, "path", "") if included is None else included.prefix)
        if hasattr(inner, "routes") and inner.routes:
            yield from table(inner.routes, path)
        else:
            filled = re.sub(r"\{[^}]*\}", "x", path) or "/"
            yield from ((method, filled) for method in getattr(route, "methods", None) or ("GET",))


@pytest.fixture(scope="module")
def every_route(app: Any) -> list[tuple[str, str]]:
    found = sorted(set(table(app._app.routes)))
    paths = {path for _, path in found}
    assert {"/", "/api/queue", "/api/projects/x/takes/x/x", "/studio-assets"} <= paths
    assert any("upload" in path for path in paths)  # Gradio's own
    assert len(found) > 60
    return found


def refused(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert b"Gradio" not in answer.body
    assert_headers(answer)


def assert_headers(answer: Answer) -> None:
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


BAD_HOSTS = (
    None,
    "",
    "evil.example",
    "evil.example:7860",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "evil.example#@localhost:7860",
    "localhost/evil",
    "local host",
    "localhost:7860:7860",
    "localhost:x",
    "[::1",
    "[::1]x",
    "[::2]",
    "127.0.0.2",
    "0x7f.1",
    "é.localhost",
)
BAD_ORIGINS = (
    "null",
    "http://evil.example",
    "https://evil.example:7860",
    "http://127.0.0.1",
    "http://127.0.0.1:7861",
    "http://localhost:7860",
    "http://127.0.0.1:7860@evil.example",
    "http://127.0.0.1:7860.evil.example",
    "http://127.0.0.1:7860/",
    "ftp://127.0.0.1:7860",
    "http://[",
    "127.0.0.1:7860",
    "",
)


def test_a_wrong_host_is_shut_out_of_every_route(app: ASGIApp, every_route: list[tuple[str, str]]) -> None:
    for method, path in every_route:
        for host in (None, "evil.example:7860"):
            refused(ask(app, path, method, host=host), 403)


def test_another_origin_is_shut_out_of_every_route(app: ASGIApp, every_route: list[tuple[str, str]]) -> None:
    for method, path in every_route:
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        ):
            refused(ask(app, path, method, headers=headers), 403)


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_wrong_hosts_of_all_kinds(app: ASGIApp, host: str | None) -> None:
    refused(ask(app, "/api/queue", host=host), 403)


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_wrong_origins_of_all_kinds(app: ASGIApp, origin: str) -> None:
    refused(ask(app, "/api/queue", headers={"origin": origin}), 403)


@pytest.mark.parametrize(
    "host",
    [
        HERE,
        "127.0.0.1",
        "localhost:7860",
        "LOCALHOST",
        "localhost.",
        "[::1]:7860",
        "studio.example.org",
        "STUDIO.example.org:80",
    ],
)
def test_its_own_names_are_let_in(app: ASGIApp, host: str) -> None:
    for headers in ({}, {"origin": f"http://{host}"}, {"origin": f"https://{host}"}):
        answer = ask(app, "/api/queue", host=host, headers=headers)
        assert answer.status == 200
        assert_headers(answer)


def test_a_link_from_elsewhere_opens_the_page(app: ASGIApp) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask(app, "/api/queue", headers=headers).status == 200


def test_every_answer_has_its_headers(app: ASGIApp, every_route: list[tuple[str, str]]) -> None:
    ours = [path for method, path in every_route if method == "GET" and path.startswith("/api")]
    assert len(ours) >= 6
    for path in (*ours, "/", "/config", "/theme.css", "/openapi.json", "/docs", "/studio-assets/css/x"):
        assert_headers(ask(app, path))
    for target, method in (("/api/nowhere", "GET"), ("/api/queue", "DELETE"), ("/api/projects", "POST")):
        answer = ask(app, target, method)
        assert answer.status >= 400
        assert_headers(answer)


def hash_of(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def allowed(answer: Answer) -> set[str]:
    """The hashes of the inline scripts that may run."""
    sources = answer.headers["content-security-policy"].split("script-src ")[1].split(";")[0].split()
    assert "'unsafe-inline'" not in sources
    assert not any(source.startswith("'nonce-") for source in sources)
    return {source for source in sources if source.startswith("'sha256-")}


def inline(page: str) -> list[str]:
    found = re.findall(r"<script\b([^>]*)>(.*?)</script>", page, re.DOTALL)
    return [script for attributes, script in found if "src=" not in attributes]


@pytest.mark.parametrize(("path", "count"), [("/", 5), ("/docs", 1)])
def test_all_inline_scripts_of_our_pages_may_run(app: ASGIApp, path: str, count: int) -> None:
    page = ask(app, path)
    assert page.status == 200
    assert len(inline(page.text)) == count
    assert allowed(page) == set(map(hash_of, inline(page.text)))
    assert page.headers["content-length"] == str(len(page.body))


def page_app(page: str, media_type: str = "text/html; charset=utf-8") -> ASGIApp:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(page, media_type=media_type)(scope, receive, send)

    return Guard(app, scripts=InlineScripts((TEMPLATE,)))


START = "<script type=x>start()</script>"
TEMPLATE = "<p>{{ title }}</p><script>config = {{ config | toorjson }};</script>" + START


@pytest.mark.parametrize(
    ("page", "scripts"),
    [
        (f"<script>config = {{}};</script>{START}", ["config = {};", "start()"]),
        (f'<SCRIPT>config = {{"a": ["é"]}};</SCRIPT>{START}', ['config = {"a": ["é"]};', "start()"]),
        (f"<script>alert(1)</script>{START}", ["start()"]),
        (f"<img src=x onerror=alert(1)><script>start();</script>{START}", ["start()"]),
        ("<script>config = alert(1);</script>", []),
        ("<script>config = {}; alert(1);</script>", []),
        ("<script>config = {};</script><script>config = {};alert(1);</script>", ["config = {};"]),
        ("<script>config = {};</script><script>config = [];</script>", []),  # which is ours cannot be told
        (f"{START}{START}", []),
        ("<script src=x>start()</script>", []),
        ('<script data-x="></script>">start()</script>', ["start()"]),
        (f"<script>{'[' * 20_000}</script>", []),
        (f"<script>config = {'[' * 200_000};</script>", []),
        ("<scripts>start()</scripts><script >", []),
    ],
)
def test_a_script_that_is_not_the_templates_may_not_run(page: str, scripts: list[str]) -> None:
    answer = ask(page_app(page), "/")
    assert allowed(answer) == set(map(hash_of, scripts))
    assert answer.text == page


def test_line_ends_are_hashed_as_browsers_read_them() -> None:
    guard = Guard(page_app("<script>a\r\nb</script>"), scripts=InlineScripts(("<script>a\nb</script>",)))
    assert hash_of("a\nb") in allowed(ask(guard, "/"))


def test_no_other_answer_allows_inline_scripts(app: ASGIApp) -> None:
    for path in ("/api/queue", "/config", "/openapi.json", "/studio-assets/js/keys.js", "/nowhere"):
        assert allowed(ask(app, path)) == set()
    assert allowed(ask(page_app(START, "text/plain"), "/")) == set()


def test_a_page_in_pieces_is_sent_whole() -> None:
    async def pieces(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
        )
        for piece in (b"<scr", b"ipt>start()</script>", b""):
            await send({"type": "http.response.body", "body": piece, "more_body": piece != b""})

    answer = ask(Guard(pieces, scripts=InlineScripts((TEMPLATE,))), "/")
    assert answer.text == "<script>start()</script>"
    assert allowed(answer) == {hash_of("start()")}


def test_a_request_that_is_no_upload_is_small(app: ASGIApp, every_route: list[tuple[str, str]]) -> None:
    """Gradio would write what is sent to it to the system's temporary folder, however much it is."""
    for method, path in every_route:
        if method in ("POST", "PUT") and path not in UPLOADS:
            answer = ask(app, path, method, headers={"content-length": str(MOST_BODY + 1)})
            assert (path, answer.status) == (path, 413)
            assert_headers(answer)


@pytest.mark.parametrize("path", UPLOADS)
def test_uploads_may_be_large(app: ASGIApp, path: str) -> None:
    answer = ask(app, path, "POST", body=b"x" * (MOST_BODY + 1))
    assert answer.status in (400, 422), answer.text  # read, and then refused
    assert answer.text.startswith('{"code":')


@pytest.mark.parametrize("path", ["/api/projects", "/api/projects/import", "/gradio_api/upload"])
def test_a_body_of_unknown_length_ends_at_the_limit(app: ASGIApp, path: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x" if "upload" in path else "application/json"}
    answer = ask(app, path, "POST", body=b" " * (MOST_BODY + 1), headers=headers)
    assert answer.status in (400, 413)
    assert_headers(answer)


def basic(text: str, kind: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{kind} {base64.b64encode(text.encode()).decode()}"}


@pytest.fixture(scope="module")
def locked(service: Service) -> ASGIApp:
    return run(made(service, login=LOGIN))


def test_without_the_password_every_route_is_shut(
    locked: ASGIApp, every_route: list[tuple[str, str]]
) -> None:
    for method, path in every_route:
        answer = ask(locked, path, method)
        refused(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic x"},
        {"authorization": "Basic é"},
        {"authorization": "Basic ===="},
        basic("mira"),
        basic("mira:"),
        basic("mira:café"),
        basic("Mira:café:1"),
        basic("mira:café:1\0"),
        basic("mira:café:1", kind="Bearer"),
    ],
)
def test_another_password_does_not_open_it(locked: ASGIApp, headers: dict[str, str]) -> None:
    refused(ask(locked, "/api/queue", headers=headers), 401)


def test_the_password_opens_it_and_other_sites_stay_out(locked: ASGIApp) -> None:
    for kind in ("Basic", "basic"):
        assert ask(locked, "/api/queue", headers=basic("mira:café:1", kind)).status == 200
    refused(ask(locked, "/api/queue", headers={**basic("mira:café:1"), "origin": "http://evil.example"}), 403)
    refused(ask(locked, "/api/queue", host="evil.example", headers=basic("mira:café:1")), 403)


def test_sockets_are_guarded_too() -> None:
    inner = FastAPI()

    @inner.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    client = TestClient(Guard(inner), base_url="http://127.0.0.1:7860")
    with client.websocket_connect("ws://127.0.0.1:7860/socket"):
        pass
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            client.websocket_connect("ws://127.0.0.1:7860/socket", headers=headers),
        ):
            pass
        assert closed.value.code == 1008
    with (
        pytest.raises(WebSocketDisconnect),
        TestClient(Guard(inner, login=LOGIN), base_url="http://127.0.0.1:7860").websocket_connect(
            "ws://127.0.0.1:7860/socket"
        ),
    ):
        pass


def test_an_error_answers_with_its_headers() -> None:
    inner = FastAPI()

    @inner.get("/broken")
    def broken() -> HTMLResponse:
        raise KeyError("x")

    client = TestClient(Guard(inner), base_url="http://127.0.0.1:7860", raise_server_exceptions=False)
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_loopback_needs_no_password(host: str) -> None:
    refused: str | None = None
    try:
        check_host(host, None)
    except WrongUse as error:
        refused = str(error)
    assert refused is None


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "",
        "192.168.1.2",
        "10.0.0.1",
        "studio.example.org",
        "localhost.example.org",
        "2130706433",
    ],
)
def test_other_places_need_a_password(host: str) -> None:
    with pytest.raises(WrongUse, match="set a password with --auth USER:PASSWORD"):
        check_host(host, None)
    check_host(host, LOGIN)


def test_a_login_is_read_from_the_command_line() -> None:
    assert parse_login("mira:café:1") == LOGIN
    for text in ("", "mira", "mira:", ":x", ":"):
        with pytest.raises(WrongUse, match="--auth: must be USER:PASSWORD"):
            parse_login(text)


def test_assets_are_served_and_nothing_beside_them(app: ASGIApp) -> None:
    answer = ask(app, "/studio-assets/js/keyboard/shortcuts.js")
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"
    assert (Path(__file__).parents[3] / "pyproject.toml").is_file()
    for hostile in (
        "../pyproject.toml",
        "%2e%2e/pyproject.toml",
        "%2e%2e%2fpyproject.toml",
        "..%5cpyproject.toml",
        "js/../../pyproject.toml",
        "%252e%252e/pyproject.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "js",
        "",
        "%00",
        "js/keyboard/shortcuts.js%00.png",
    ):
        assert ask(app, f"/studio-assets/{hostile}").status in (404, 400), hostile
