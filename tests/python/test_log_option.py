"""What processes of a cluster write of what they log to their standard error."""

import os
import re
import subprocess
import sys

import pytest

from graticule import Client, LocalCluster
from graticule.errors import InvalidValue

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z +(ERROR|WARN|INFO|DEBUG) \S.*")


def errors_of(options, variables=None):
    """What a program writes to its standard error that has a cluster, in which a function fails."""
    script = f"""
from graticule import Client, LocalCluster

def fails():
    raise ValueError("no date")

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="512 MiB"{options}) as cluster, Client(cluster) as client:
        client.submit(fails).exception()
"""
    return errors_of_program([sys.executable, "-c", script], variables)


def environment(variables=None):
    own = {key: value for key, value in os.environ.items() if not key.startswith("GRATICULE_LOG")}
    return own | {"NO_COLOR": "1"} | (variables or {})


def errors_of_program(program, variables=None):
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment(variables))
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def levels(written):
    """How many lines there are of each level; all of them look as those of the command `graticule`, and none is there twice."""
    found = [LINE.fullmatch(line) for line in written]
    assert all(found), written
    # What is for the client alone of an exception is for no person's eyes.
    assert not any("python exception" in line for line in written), written
    assert len(set(written)) == len(written), written
    return {match[1] for match in found}


def test_a_local_cluster_is_quiet_unless_it_is_asked():
    assert errors_of("") == []


@pytest.mark.parametrize(
    "options, variables",
    [(', log="info"', {}), (", silence_logs=False", {"GRATICULE_LOG": "error"}), ("", {"GRATICULE_LOG": "info"})],
)
def test_a_local_cluster_says_what_it_is_asked_for(options, variables):
    written = errors_of(options, variables)
    assert levels(written) == {"INFO", "WARN"}
    # The scheduler tells of the job and of its failure, the worker of itself, each once.
    for told in ("job started", "no date", "worker connected", "worker listens"):
        assert len([line for line in written if told in line]) == 1, (told, written)


@pytest.mark.parametrize("options", ['processes=True, log="info"', "processes=True, silence_logs=False", 'log="info"'])
def test_a_client_says_of_its_own_cluster_what_it_is_asked_for(options):
    script = f"""
from graticule import Client

def fails():
    raise ValueError("no date")

if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=1, memory_limit="512 MiB", {options}) as client:
        client.submit(fails).exception()
"""
    written = errors_of_program([sys.executable, "-c", script])
    assert levels(written) == {"INFO", "WARN"} and any("no date" in line for line in written), written


def test_a_client_cannot_say_it_of_a_cluster_elsewhere():
    with pytest.raises(InvalidValue, match="where it is started"):
        Client("grpc://127.0.0.1:1", log="info")


@pytest.mark.parametrize("option", ["", "--log=warn"])
def test_a_scheduler_and_its_workers_write_warnings_by_default(option):
    # Made here, it goes along whole: workers do not have the tests' modules.
    def fails():
        raise ValueError("no date")

    program = [sys.executable, "-m", "graticule.scheduler", "--listen=127.0.0.1:0", "--workers=1", "--ends-with-stdin"]
    variables = {"GRATICULE_LOG": "off"} if option else {}
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    process = subprocess.Popen(program + [option][: len(option)], text=True, env=environment(variables), **pipes)
    with Client(process.stdout.readline().split()[0], set_as_default=False) as client:
        with pytest.raises(ValueError, match="no date"):
            client.submit(fails, pure=False).result(timeout=60)
    _, written = process.communicate(timeout=60)
    assert levels(written.splitlines()) == {"WARN"} and "no date" in written


@pytest.mark.parametrize("module", [["graticule.scheduler"], ["graticule.worker", "grpc://127.0.0.1:1"]])
def test_a_filter_that_cannot_be_understood_is_refused(module):
    done = subprocess.run(
        [sys.executable, "-m", *module, "--log", "graticule=loud"], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert done.returncode == 2 and '--log "graticule=loud" is no filter' in done.stderr, done.stderr


def test_silence_logs_is_a_level():
    with pytest.raises(InvalidValue, match="silence_logs='loud' is no level"):
        LocalCluster(n_workers=0, silence_logs="loud")
