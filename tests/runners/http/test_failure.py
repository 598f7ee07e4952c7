"""Failures from responses: transient or not, when to retry, and the message."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from httpx2 import Response

from runners.http.failure import error_message, failure_of, retry_after_of


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "20"}, 20),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_from_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(Response(429, headers=headers)) == seconds


def test_a_date_is_a_time_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after_of(Response(503, headers={"retry-after": date})) == pytest.approx(60, abs=3)


@pytest.mark.parametrize(
    ("status", "headers", "is_transient"),
    [
        *((status, {}, True) for status in (408, 409, 429, 500, 502, 503, 529)),
        *((status, {}, False) for status in (400, 401, 403, 404, 413, 422)),
        (429, {"retry-after": "120"}, True),
        (429, {"retry-after": "121"}, True),
        (429, {"retry-after": "inf"}, True),
        (429, {"x-should-retry": "false"}, False),
        (200, {}, True),
        (200, {"retry-after": "3600"}, True),
        (400, {"x-should-retry": "true"}, True),
        (400, {"x-should-retry": "true", "retry-after": "3600"}, True),
    ],
)
def test_another_try_may_help(status: int, headers: dict[str, str], is_transient: bool) -> None:
    assert failure_of(Response(status, headers=headers), "no").is_transient == is_transient


def test_a_server_with_too_much_to_do_says_so_by_its_status() -> None:
    assert [
        status
        for status in (400, 408, 409, 429, 500, 502, 503, 504)
        if failure_of(Response(status), "no").is_overload
    ] == [429, 503, 504]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ({"error": {"message": "too long", "code": 400}}, "too long"),
        ({"message": "too long"}, "too long"),
        ({"detail": "too long"}, "too long"),
        ({"error": "too long"}, "too long"),
        ({"detail": [{"loc": ["top_k"]}]}, '{"detail": [{"loc": ["top_k"]}]}'),
        ("two\nlines", "two lines"),
        ("", "no reason given"),
        ({}, "{}"),
    ],
)
def test_an_errors_message_is_found_in_its_json(error: object, message: str) -> None:
    assert error_message(error) == message


def test_a_page_of_html_is_cut() -> None:
    assert len(error_message("<p>" * 1000)) == 300
