"""The HTTP client against a real server on the loopback interface: patience, refusals, and no secrets in words."""

from __future__ import annotations

import datetime
import email.utils
import socket
from collections.abc import Iterator

import pytest

from entrenar_research.errors import EXIT_REMOTE, MissingToolError, UsageError
from entrenar_research.net import otlp, redaction
from entrenar_research.net.client import Client, Patience, check_address
from entrenar_research.net.errors import OfflineError, RemoteError
from tests.receivers import OTLP, Receiver, receiving

pytest.importorskip("requests")
TOKEN = "Bearer s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENTRENAR_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Waits(list[float]):
    """How long it would have slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(waits: Waits) -> Iterator[Client]:
    made = Client("test/1", {"authorization": TOKEN}, sleep=waits)
    yield made
    made.close()


def test_a_request_has_its_headers(receiver: Receiver, client: Client) -> None:
    assert client.post(f"{receiver.url}/v1/traces", b"", OTLP).status == 200
    (path, headers) = receiver.requests[0]
    assert path == "/v1/traces"
    assert (headers["authorization"], headers["user-agent"], headers["content-type"]) == (TOKEN, "test/1", OTLP)


def test_busy_servers_are_asked_again_with_growing_pauses(receiver: Receiver, client: Client, waits: Waits) -> None:
    receiver.answers = [(503, {}, b""), (429, {}, b""), (502, {}, b""), (504, {}, b"")]
    assert client.post(f"{receiver.url}/v1/traces", b"", OTLP).status == 200
    assert waits == [1, 2, 4, 8]
    assert len(receiver.requests) == 5


def test_they_say_when(receiver: Receiver, client: Client, waits: Waits) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    receiver.answers = [
        (429, {"Retry-After": "7"}, b""),
        (503, {"Retry-After": email.utils.format_datetime(soon)}, b""),
    ]
    assert client.post(f"{receiver.url}/v1/traces", b"", OTLP).status == 200
    assert waits[0] == 7
    assert 0 < waits[1] <= 30


def test_patience_ends(receiver: Receiver, client: Client, waits: Waits) -> None:
    receiver.answers = [(503, {}, b"no room")] * 9
    with pytest.raises(RemoteError, match="answered 503 after 5 attempts: no room") as caught:
        client.post(f"{receiver.url}/v1/traces", b"", OTLP)
    assert caught.value.exit_code == EXIT_REMOTE
    assert len(receiver.requests) == 5


def test_who_asks_for_too_much_patience_is_left(receiver: Receiver, client: Client, waits: Waits) -> None:
    receiver.answers = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(RemoteError, match="answered 429") as caught:
        client.post(f"{receiver.url}/v1/traces", b"", OTLP)
    assert waits == []
    assert caught.value.hint == "it asks to be tried again in 3600 s"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_refusals_are_final_and_keep_secrets(status: int, receiver: Receiver, client: Client, waits: Waits) -> None:
    receiver.answers = [(status, {}, f"bad {TOKEN} and s3cr3t-t0ken\x1b[2J".encode())]
    with pytest.raises(RemoteError) as caught:
        client.post(f"{receiver.url}/v1/traces?key=k3y", b"", OTLP)
    message = caught.value.message
    assert f"/v1/traces?key=***: answered {status}: bad *** and ***?[2J" in message
    assert "s3cr3t" not in f"{message} {caught.value.hint}"
    assert waits == []


def test_redirects_are_not_followed(receiver: Receiver, client: Client) -> None:
    receiver.answers = [(307, {"Location": "https://me:pw@elsewhere.example/?k=v"}, b"")]
    with pytest.raises(RemoteError, match=r"it sends us to https://\*\*\*@elsewhere\.example/\?k=\*\*\*"):
        client.post(f"{receiver.url}/v1/traces", b"", OTLP)
    assert len(receiver.requests) == 1


def test_nobody_there(client: Client, waits: Waits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RemoteError, match=f"http://127.0.0.1:{port}/x: no connection: Connection refused"):
        client.post(f"http://127.0.0.1:{port}/x", b"", OTLP)
    assert waits == []


def test_silence_is_not_waited_for_without_end() -> None:
    client = Client("test/1", patience=Patience(silence=0.05))
    server = socket.create_server(("127.0.0.1", 0))  # takes connections, never says a word
    with server, pytest.raises(RemoteError, match="no answer in time"):
        client.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", OTLP)
    client.close()


def test_an_answer_that_comes_too_slowly_is_none(receiver: Receiver) -> None:
    client = Client("test/1", patience=Patience(answer=-1.0))
    receiver.answers = [(200, {}, b"a")]
    with pytest.raises(RemoteError, match="no whole answer within"):
        client.post(f"{receiver.url}/v1/traces", b"", OTLP)
    client.close()


def test_no_more_than_a_mebibyte_is_read(receiver: Receiver, client: Client) -> None:
    receiver.answers = [(200, {}, b"a" * (1 << 22))]
    assert len(client.post(f"{receiver.url}/v1/traces", b"", OTLP).body) == 1 << 20


def test_no_password_is_taken_from_netrc(
    receiver: Receiver, waits: Waits, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="utf-8") as stream:
        stream.write("machine 127.0.0.1 login me password pw\n")
    monkeypatch.setenv("NETRC", netrc)
    client = Client("test/1", sleep=waits)
    client.post(f"{receiver.url}/v1/traces", b"", OTLP)
    client.close()
    assert "authorization" not in receiver.requests[0][1]


def test_the_switch_forbids_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENAR_OFFLINE", "1")
    with pytest.raises(OfflineError, match="ENTRENAR_OFFLINE is set"):
        Client("test/1")
    monkeypatch.setenv("ENTRENAR_OFFLINE", "0")
    Client("test/1").close()


def test_without_requests_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "requests", None)
    with pytest.raises(MissingToolError, match="requests is not installed"):
        Client("test/1")


@pytest.mark.parametrize("url", ["ftp://x/", "localhost:4318", "http://", "http://x:99999/", "http://[::1/", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="address"):
        check_address(url)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="holds a user or a password") as caught:
        check_address("http://me:hunter2@x.example/")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://x.example/", "https://x.example/v1/traces"),
        ("https://x.example/otlp/v1/traces?a=b", "https://x.example/otlp/v1/traces?a=b"),
        ("https://x.example?a=b", "https://x.example/v1/traces?a=b"),
    ],
)
def test_where_traces_are_sent_to(address: str, found: str) -> None:
    assert otlp.endpoint(address) == found


def test_the_port_of_grpc_is_told_apart() -> None:
    with pytest.raises(UsageError, match="port 4317 is OTLP over gRPC") as caught:
        otlp.endpoint("http://localhost:4317")
    assert "http://localhost:4318" in str(caught.value.hint)


def test_headers_of_the_environment() -> None:
    found = otlp.headers(
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc==, x-one=1,",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-one=2",
        }
    )
    assert found == {"authorization": "Bearer abc==", "x-one": "2"}
    assert otlp.headers({}) == {}


@pytest.mark.parametrize("value", ["s3cret", "a b=s3cret", "x=s3cret%0D%0Aevil: 1", "x=s3cret%C3%A4"])
def test_headers_that_are_none_are_refused_and_not_shown(value: str) -> None:
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_HEADERS holds no list of headers") as caught:
        otlp.headers({"OTEL_EXPORTER_OTLP_HEADERS": value})
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("kind", "body", "refused"),
    [
        (OTLP, b"", 0),
        (OTLP, b"\x0a\x07\x08\x03\x12\x03old", 3),
        ("application/json; charset=utf-8", b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "old"}}', 3),
        ("application/json", b"{}", 0),
        ("application/json", b"", 0),
    ],
)
def test_refused_spans_are_counted(kind: str, body: bytes, refused: int, receiver: Receiver, client: Client) -> None:
    receiver.answers = [(200, {"Content-Type": kind}, body)] * 2
    found = otlp.Receiver(f"{receiver.url}/v1/traces", client)
    found.send(b"")
    found.send(b"")
    assert (found.refused, found.reasons) == (2 * refused, ("old",) if refused else ())


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", b"<html>"), (OTLP, b"<html>"), ("application/json", b"[]"), ("application/json", b"{")],
)
def test_who_is_no_receiver_is_told_apart(kind: str, body: bytes, receiver: Receiver, client: Client) -> None:
    receiver.answers = [(200, {"Content-Type": kind}, body)]
    with pytest.raises(RemoteError, match="answered 200, but not as a receiver of OTLP does"):
        otlp.Receiver(f"{receiver.url}/v1/traces", client).send(b"")


def test_redaction() -> None:
    assert redaction.address("https://u:p@h.example:1/a?t=x&flag#frag") == "https://***@h.example:1/a?t=***&***"
    assert redaction.text("Bearer abcd1 abcd1 or", ["Bearer abcd1", "or"]) == "*** *** or"
