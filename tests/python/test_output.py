"""What functions print that run on threads: in a cluster of this process, and in workers without child processes."""

import contextlib
import gc
import io
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
import weakref

import nbclient
import nbformat
import pytest

import graticule.array as ga
import log_lines
from graticule import Client, LocalCluster, wait
from log_lines import lines

EMBEDDED = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0", "set_as_default": False}


@pytest.fixture(scope="module")
def cluster():
    options = {"threads_per_worker": 2, "memory_limit": "1 GiB", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, isolate=False, **options) as cluster:
        yield cluster


@pytest.fixture
def embedded():
    with Client(**EMBEDDED) as client:
        yield client


@pytest.fixture(params=["embedded", "processes"])
def client(request):
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
    else:
        with Client(request.getfixturevalue("cluster"), set_as_default=False) as client:
            yield client


def told(client, text, count=1):
    """Those lines as level, target, text and how often, once there are so many."""
    found = lines(client, f"text={text}", lambda found: log_lines.count(found) >= count)
    return [(line["level"], line["target"], line["text"], line["count"]) for line in found]


def mark(client):
    """Has a line told after all that was told before."""
    wait([client.submit(print, "the last word", pure=False)])
    assert told(client, "the+last+word")


def test_what_a_function_prints_is_told_of_its_task(client):
    def speaks(word):
        print("out", word, "1")
        sys.stderr.write(f"err {word} 1\nerr {word} 2\n" + warnings.formatwarning(f"old {word}", UserWarning, "a.py", 7, "warn()"))
        for _ in range(20):
            print("again", word)
        for part in range(100):
            print(f"\rprogress {word} {part}%", end="", file=sys.stderr, flush=True)
        print("end", word, end="")

    wait([client.submit(speaks, "first")])
    found = told(client, "first", 26)
    assert sum(count for *_, text, count in found if text == "again first") == 20
    once = [line[:3] for line in found if line[2] != "again first"]
    assert sorted(once) == sorted([
        ("info", "stdout", "out first 1"), ("warn", "stderr", "err first 1"), ("warn", "stderr", "err first 2"),
        ("warn", "stderr", "a.py:7: UserWarning: old first\n  warn()"), ("info", "stdout", "end first"),
        ("warn", "stderr", "progress first 99%"),
    ])
    for line in lines(client, "text=first"):
        assert line["block"] == 0 and line["layer"] is not None and line["source"] is not None, line


def test_each_task_has_its_own_lines_also_where_they_are_written_in_pieces(client):
    def speaks(number):
        for part in ("piece", "of", number):
            print(part, end=" ")
            time.sleep(number % 3 * 0.001)

    wait(client.map(speaks, range(40), pure=False))
    found = lines(client, "text=piece+of", lambda found: log_lines.count(found) >= 40)
    blocks = {line["text"]: (line["job"], line["layer"], line["block"]) for line in found}
    assert set(blocks) == {f"piece of {number}" for number in range(40)} and len(set(blocks.values())) == 40


def test_functions_on_blocks_are_told_too(embedded):
    def speaks(block):
        print("a block of", block.shape)
        return block

    embedded.compute(ga.ones((4, 4), chunks=(2, 4)).map_blocks(speaks, dtype=float))
    found = lines(embedded, "text=a+block+of", lambda found: log_lines.count(found) >= 2)
    assert {(line["text"], line["block"]) for line in found} == {("a block of (2, 4)", 0), ("a block of (2, 4)", 1)}


def test_what_handlers_write_of_a_record_is_told_once(client):
    def speaks():
        handler = logging.StreamHandler(sys.stderr)
        logger = logging.getLogger("lens")
        logger.addHandler(handler)
        try:
            logger.warning("it is warm")
        finally:
            logger.removeHandler(handler)
        print("it is warm, said")

    wait([client.submit(speaks, pure=False)])
    assert sorted(line[:3] for line in told(client, "it+is+warm", 2)) == [
        ("info", "stdout", "it is warm, said"), ("warn", "lens", "it is warm")
    ]


def test_a_line_is_told_while_its_function_runs(client, tmp_path):
    def speaks(path):
        print("begun and waiting")
        while not os.path.exists(path):
            time.sleep(0.01)

    future = client.submit(speaks, str(tmp_path / "go"), pure=False)
    try:
        assert told(client, "and+waiting")[0][1] == "stdout"
        assert not future.done()
    finally:
        (tmp_path / "go").touch()
    future.result(timeout=60)


def test_what_a_function_catches_is_its_own(client):
    def catches():
        with contextlib.redirect_stdout(io.StringIO()) as caught:
            print("caught and kept")
        print("said:", caught.getvalue(), end="")
        return caught.getvalue()

    assert client.submit(catches, pure=False).result(timeout=60) == "caught and kept\n"
    mark(client)
    assert [line[2] for line in told(client, "and+kept")] == ["said: caught and kept"]


def test_threads_that_a_function_starts_count_to_no_task(client):
    def starts():
        thread = threading.Thread(target=lambda: print("from the side"))
        thread.start()
        thread.join()
        print("from the middle")

    wait([client.submit(starts, pure=False)])
    mark(client)
    found = {line["text"]: line["layer"] for line in lines(client, "text=from+the")}
    assert found.pop("from the middle") is not None
    # In the process of a program they are as its own threads, which are none of the cluster's business.
    assert found == ({} if client.cluster is None else {"from the side": None})


def test_output_goes_where_it_went_and_the_programs_own_is_not_told(embedded, capsys):
    def speaks():
        print("by a function")

    print("by the program")
    wait([embedded.submit(speaks, pure=False)])
    mark(embedded)
    assert capsys.readouterr().out.splitlines() == ["by the program", "by a function", "the last word"]
    assert [line[2] for line in told(embedded, "by+")] == ["by a function"]


def test_a_stream_that_the_program_puts_there_is_heard_and_let_go_of(embedded):
    class Passing:
        """As many do: a stream that has another one."""

        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

    class Twice(io.StringIO):
        """One that writes to another one, too."""

        def __init__(self, stream):
            super().__init__()
            self.stream = stream

        def write(self, text):
            self.stream.write(text)
            return super().write(text)

    for made in (io.StringIO, lambda: Passing(sys.stdout), lambda: Passing(io.StringIO()), lambda: Twice(sys.stdout)):
        stream = made()
        with contextlib.redirect_stdout(stream):
            wait([embedded.submit(print, "heard", type(stream).__name__, id(stream), pure=False)])
        mark(embedded)
        assert [line[3] for line in told(embedded, f"heard+{type(stream).__name__}+{id(stream)}")] == [1]
    assert sys.stdout.write is not None
    stream = io.StringIO()
    gone = weakref.ref(stream)
    with contextlib.redirect_stdout(stream):
        wait([embedded.submit(print, "heard again", pure=False)])
    assert stream.getvalue() == "heard again\n"
    gc.disable()
    try:
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_nothing_is_left_when_the_last_client_is_closed():
    # In a process without other clients.
    program = [sys.executable, "-c", "import test_output; test_output.nothing_is_left_behind()"]
    subprocess.run(program, cwd=os.path.dirname(__file__), check=True, timeout=120)


def nothing_is_left_behind():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        handle, own = logging.Handler.handle, dict(vars(stream))
        with Client(**EMBEDDED) as first:
            with Client(**EMBEDDED) as second:
                second.submit(print, "of the second", pure=False).result(timeout=60)
                assert told(second, "of+the+second") and not lines(first, "text=of+the+second", lambda _: True)
            second.close()
            first.submit(print, "of the first", pure=False).result(timeout=60)
            assert told(first, "of+the+first")
            assert dict(vars(stream)) != own
        assert dict(vars(stream)) == own and logging.Handler.handle is handle
    assert stream.getvalue() == "of the second\nof the first\n"


def test_a_long_line_costs_a_bounded_part_of_it_and_goes_out_whole(embedded, capsys):
    wait([embedded.submit(print, "x" * 5_000_000, "too long", pure=False)])
    mark(embedded)
    assert len(capsys.readouterr().out) == 5_000_010 + len("the last word\n")
    (line,) = told(embedded, "xxxx")
    assert len(line[2]) <= 1024


def test_in_a_notebook_output_is_shown_and_told():
    cells = [
        """
import json, urllib.request
import graticule
client = graticule.Client(dashboard_address="127.0.0.1:0")

def speaks(word):
    print("in a notebook", word)

client.submit(speaks, 1).result()
""",
        """
from IPython.utils.capture import capture_output
with capture_output() as caught:
    client.submit(speaks, 2).result()
print("caught", repr(caught.stdout))
client.submit(speaks, 3).result()
""",
        """
import time
end, found = time.monotonic() + 30, []
while len(found) < 3 and time.monotonic() < end:
    time.sleep(0.1)
    with urllib.request.urlopen(client.dashboard_link.rstrip("/") + "/api/logs?text=in+a+notebook") as answer:
        found = [line["text"] for line in json.load(answer)["lines"]]
print("told", found)
client.close()
""",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = ["".join(out.text for out in cell.outputs if out.output_type == "stream") for cell in notebook.cells]
    assert shown[0] == "in a notebook 1\n"
    assert "caught 'in a notebook 2\\n'" in shown[1] and "in a notebook 3\n" in shown[1]
    assert shown[2] == "told ['in a notebook 1', 'in a notebook 2', 'in a notebook 3']\n"
