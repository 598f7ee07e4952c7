"""The server of `xp view`: whom it answers, what it refuses, and that it is in nobody's way."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from dsl.errors import WarehouseError
from tests.warehouse.reported_study import METHODS, write_study
from tests.xp.view.serving import ask, served
from warehouse.connect import WAREHOUSE, connect
from warehouse.report import answer_rows
from warehouse.report.answer_rows import PAGE
from warehouse.statements import fetch
from xp.view.opened import Opener
from xp.view.query_process import ask as ask_sql
from xp.view.server import _listening

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def port(store: Path) -> Iterator[int]:
    with served(store) as port:
        yield port


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8473"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/progress", "/query?sql=select%201", "/nowhere"])
def test_a_request_of_another_host_or_origin_is_refused(
    port: int, path: str, headers: dict[str, str]
) -> None:
    status, _, text = ask(port, path, headers)
    assert (status, "Refused" in text) == (403, True)


def test_this_machine_is_answered_under_each_of_its_names_and_from_its_own_pages(port: int) -> None:
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "[::1]:9000", "localhost"):
        assert ask(port, "/progress", {"Host": host, "Origin": f"http://{host}"})[0] == 200
    assert ask(port, "/progress", {"Sec-Fetch-Site": "same-origin"})[0] == 200


def test_the_server_is_bound_to_this_machine_alone() -> None:
    with _listening() as first, _listening() as second:
        assert {first.getsockname()[0], second.getsockname()[0]} == {"127.0.0.1"}
        assert first.getsockname()[1] != second.getsockname()[1]


def test_the_command_says_its_address_writes_nothing_and_ends_with_ctrl_c(store: Path) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in store.rglob("*")}

    before = files()
    command = [sys.executable, "-m", "xp", "view", "hostile", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        address = urlsplit(started.stdout.readline().strip())
        assert (address.hostname, address.query) == ("127.0.0.1", "study=hostile")
        for path in ("/?study=hostile", "/studies/hostile/page", "/query?sql=from%20cells", "/progress"):
            assert ask(address.port or 0, path)[0] == 200
        started.send_signal(signal.SIGINT)
    assert started.returncode == 0
    assert files() == before


def test_a_study_that_is_in_the_warehouse_alone_is_shown_as_one_read_from_a_bundle_is(
    store: Path, tmp_path: Path
) -> None:
    shutil.copyfile(store / WAREHOUSE, tmp_path / WAREHOUSE)
    with served(tmp_path) as port:
        _, _, text = ask(port, "/")
        assert "No study yet" not in text
        assert '/studies/hostile"' in text
        assert 'href="/report/hostile"' in text
        assert ask(port, "/?study=hostile")[2] == text
        assert ask(port, "/?study=none")[0] == 400
        assert json.loads(ask(port, "/progress")[2])["studies"] == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_sent_to_it(port: int, method: str) -> None:
    for path in ("/", "/query?sql=select%201", "/progress", "/studies/hostile/page"):
        assert ask(port, path, method=method)[0] == 405


def test_every_answer_says_what_it_may_do(port: int) -> None:
    for path in ("/", "/progress", "/query?sql=select%201", "/nowhere"):
        headers = ask(port, path)[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert (
            "frame-ancestors" in headers["content-security-policy"]
            or "sandbox" in (headers["content-security-policy"])
        )


def test_a_query_is_answered_with_at_most_a_thousand_rows(port: int) -> None:
    def query(sql: str) -> tuple[int, dict[str, object]]:
        status, _, text = ask(port, f"/query?sql={quote(sql)}")
        return status, json.loads(text)

    assert query("select 1 as a, 2 as a") == (
        200,
        {"columns": ["a", "a_2"], "rows": [[1, 2]], "is_cut": False},
    )
    status, found = query("from range(1_000_000_000_000)")
    assert (status, found["is_cut"], len(list(found["rows"]))) == (200, True, 1000)  # pyright: ignore


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "create table t (a int)",
        "delete from cells",
        "select 1; drop table cells",
        "copy cells to 'cells.csv'",
        "attach 'other.duckdb'",
        "set memory_limit = '1TB'",
        "install httpfs",
        "pragma database_size",
        "from read_csv('/etc/passwd')",
        "from '/etc/passwd'",
        "nonsense",
    ],
)
def test_a_statement_that_is_no_query_or_reads_files_is_refused_and_changes_nothing(
    store: Path, port: int, sql: str
) -> None:
    before = hashlib.sha256((store / WAREHOUSE).read_bytes()).hexdigest()
    status, _, text = ask(port, f"/query?sql={quote(sql)}")
    assert status in (400, 422)
    assert json.loads(text)["error"]
    assert hashlib.sha256((store / WAREHOUSE).read_bytes()).hexdigest() == before


def test_what_takes_too_long_is_ended_and_the_warehouse_is_closed(store: Path) -> None:
    opener = Opener(store / WAREHOUSE)
    with pytest.raises(Exception, match=r"longer than 0\.2 s"), opener.opened(longest=0.2) as connection:
        fetch(connection, "select count(*) from range(10_000_000_000) a, range(1000) b")
    connect(store / WAREHOUSE, patience=0.0).close()


def test_a_row_of_any_number_of_values_is_ended_too_and_the_warehouse_is_closed(store: Path) -> None:
    with pytest.raises(WarehouseError, match="longer than 2 s"):
        ask_sql(store / WAREHOUSE, "select range(200_000_000)", 1, 2.0)
    connect(store / WAREHOUSE, patience=0.0).close()


def test_time_that_is_up_between_two_queries_ends_the_next_one(store: Path) -> None:
    def late(opener: Opener) -> None:
        with opener.opened(longest=0.1) as connection:
            time.sleep(0.3)
            fetch(connection, "select count(*) from range(10_000_000_000) a, range(1000) b")

    with pytest.raises(WarehouseError, match=r"longer than 0\.1 s"):
        late(Opener(store / WAREHOUSE))


def test_views_of_another_version_are_left_as_they_are(tmp_path: Path) -> None:
    write_study(tmp_path)
    warehouse = tmp_path / WAREHOUSE
    with connect(warehouse) as connection:
        connection.execute("update made_from set sha256 = 'older' where part = 'views'")
    before = warehouse.read_bytes()
    with pytest.raises(WarehouseError, match="another version of xp"), Opener(warehouse).opened():
        pass
    assert warehouse.read_bytes() == before


def test_integers_that_javascript_would_round_come_as_text(port: int) -> None:
    found = json.loads(ask(port, f"/query?sql={quote('select 9007199254740993 as n, 7 as m')}")[2])
    assert found["rows"] == [["9007199254740993", 7]]


def test_the_warehouse_is_free_between_requests_for_whoever_loads(store: Path) -> None:
    opener, stop = Opener(store / WAREHOUSE), threading.Event()

    def read() -> None:
        while not stop.is_set():
            with opener.opened() as connection:
                fetch(connection, "select count(*) from cells")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer = f"""
from pathlib import Path
from warehouse.connect import connect
for _ in range(3):
    connect(Path({str(store / WAREHOUSE)!r})).close()  # raises WarehouseHeld where it has no chance
"""
    try:
        subprocess.run([sys.executable, "-c", writer], check=True)
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def pages(port: int, parts: str) -> list[str]:
    """Every answer to a link, as `cell/item`, page by page."""
    found: list[str] = []
    after = ""
    while True:
        status, _, text = ask(port, f"/studies/hostile/page?{parts}{after}")
        assert status == 200, text
        page = json.loads(text)
        assert len(page["answers"]) <= PAGE
        found += [
            f"{answer['cell']}/{page['questions'][answer['question']]['item']}" for answer in page["answers"]
        ]
        if page["next"] is None:
            return found
        after = f"&after={quote(json.dumps(page['next']))}"


def sql(store: Path, query: str) -> list[dict[str, object]]:
    with connect(store / WAREHOUSE, read_only=True) as connection:
        return fetch(connection, query)


def test_pages_hold_every_answer_once(store: Path, port: int) -> None:
    found = pages(port, "")
    wanted = {row["id"] for row in sql(store, "select cell_id || '/' || item as id from completions")}
    assert len(found) == len(wanted) == 3 * 2 * len(METHODS) * 6 > 2 * PAGE
    assert set(found) == wanted


def test_a_look_goes_through_a_window_of_the_answers_and_says_how_far_it_came(
    store: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pages(port, "search=q3"), pages(port, "only=wrong&measure=contains")
    monkeypatch.setattr(answer_rows, "WINDOW", 13)  # two cells of six
    assert (pages(port, "search=q3"), pages(port, "only=wrong&measure=contains")) == whole
    looks: list[tuple[int, int, int]] = []
    after = ""
    while not looks or after:
        page = json.loads(ask(port, f"/studies/hostile/page?search=q3&model=tiny{after}")[2])
        looks.append((len(page["answers"]), page["searched"], page["of"]))
        after = page["next"] and f"&after={quote(json.dumps(page['next']))}"
    n = 3 * len(METHODS) * 6
    assert looks == [(2, searched, n) for searched in range(12, n + 1, 12)]


COMPARED = "method=urial&against=sft"


@pytest.mark.parametrize("sort", ["lowest", "highest", f"worse&{COMPARED}", f"better&{COMPARED}"])
def test_sorted_pages_hold_every_scored_answer_once_and_go_one_way(store: Path, port: int, sort: str) -> None:
    measure = "quality.helpfulness"
    rows = sql(
        store,
        f"""select
            v.cell_id || '/' || v.item as id,
            v.score,
            case when v.method = 'urial' then v.score - o.score end as difference
        from verdicts v left join verdicts o on o.measure = v.measure and o.item = v.item
            and o.language = v.language and o.model = v.model and o.method = 'sft'
        where v.measure = '{measure}' and v.score is not null""",
    )
    key = "difference" if "against" in sort else "score"
    keys = {row["id"]: row[key] for row in rows if row[key] is not None}
    found = pages(port, f"measure={measure}&sort={sort}")
    assert set(found) == set(keys)
    assert len(found) == len(keys) > (0 if "against" in sort else PAGE)
    values = [float(keys[name]) for name in found]  # pyright: ignore
    assert values == sorted(values, reverse=sort.startswith(("highest", "better")))


@pytest.mark.parametrize(
    "parts",
    [
        "colour=red",
        "only=odd",
        "sort=up",
        "sort=worse&against=sft",
        "sort=better&method=sft",
        "after=1",
        "after=%5B%22a%22%5D",
    ],
)
def test_a_link_that_means_nothing_is_refused_with_what_there_is(port: int, parts: str) -> None:
    status, _, text = ask(port, f"/studies/hostile/page?{parts}")
    assert status == 400
    assert json.loads(text)["error"]


@pytest.mark.parametrize("name", ["judge-0000000000000000", "..%2F..%2Fexperiments%2Fhostile.json", "%2Fetc"])
def test_no_other_file_can_be_had_as_a_log(port: int, name: str) -> None:
    assert ask(port, f"/logs/{name}")[0] == 404
