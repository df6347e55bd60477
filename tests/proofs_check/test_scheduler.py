"""Where forms are verified changes nothing: worker processes, a Dask cluster, killed workers, killed runs, two runs at once, a shared budget."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from dying import die
from small import TINY, claim

from mdps.errors import ModelError
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import all_claims
from proofs_check.engine import budget as budgets
from proofs_check.engine import schedule
from proofs_check.engine import verify as engine
from proofs_check.engine.verify import verify
from proofs_check.store import Store

ROOT = pathlib.Path(__file__).parents[2]
CHEAP = ["change-of-measure", "visits-at-least-start", "empirical-distribution-deviation"]
"""Claims whose forms take tenths of a second each."""


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(budgets.BUDGETS, "tiny", TINY)


def figures(run):
    """Everything in a run but how long it took."""
    return [{k: x for k, x in v.as_dict(form).items() if k != "seconds"} for found in run.verdicts for form in (*found.forms, *found.controls)]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **more}


def jobs_of(names, budget="quick-3"):
    return [schedule.job_of(case, budgets.budget(budget), 0, None) for name in names for case in all_claims()[name].cases()]


@pytest.fixture(scope="module")
def serial():
    """The verdicts of one process."""
    return verify(CHEAP, budget="quick-3", jobs=1)


# Worker processes


class Killer:
    """A progress that kills one worker of this process when the first form is done."""

    def __init__(self):
        self.killed = None

    def start(self, total):
        self.total = total

    def stage(self, claim, form, text):
        pass

    def done(self, found):
        if self.killed is None:
            import multiprocessing

            self.killed = sorted(process.pid for process in multiprocessing.active_children())[0]
            os.kill(self.killed, signal.SIGKILL)


def test_a_killed_worker_process_loses_nothing(serial, tmp_path):
    killer = Killer()
    with Store(tmp_path / "evidence.sqlite") as store:
        run = verify(CHEAP, budget="quick-3", jobs=2, store=store, progress=killer)
        assert killer.killed is not None and killer.total == len(figures(run)) == len(store)
    assert figures(run) == figures(serial)


def test_a_job_that_kills_every_worker_is_named(monkeypatch):
    """A pool whose workers die at once, whatever they are given."""
    monkeypatch.setattr(schedule, "_begin", die)
    with pytest.raises(ModelError, match=r"worker processes keep dying.*performance-difference"):
        list(schedule.in_processes(jobs_of(["performance-difference"]), 2))


def test_a_worker_with_other_sources_refuses():
    job = jobs_of(["performance-difference"])[0]
    import dataclasses

    for change in ({"digest": "0" * 16}, {"claim": "no-such-claim"}, {"form": "none"}):
        with pytest.raises(ModelError, match="other sources"):
            schedule.carry_out(dataclasses.replace(job, **change))
    assert schedule.carry_out(job).verdict == v.PROVED


def test_only_what_the_catalogue_holds_leaves_the_process():
    own = claim(q.gradient_norm <= 1 / (1 - q.gamma) ** 2).cases()[0]
    assert not schedule.portable(own)
    assert all(schedule.portable(case) for name in CHEAP for case in all_claims()[name].cases())
    changed = all_claims()["change-of-measure"].replace(bound="2*rho_over_mu*gap_mu").cases()[0]
    assert not schedule.portable(changed)


def test_a_worker_stays_with_a_claim_and_helps_with_the_largest_when_none_is_left_to_begin():
    first, second = schedule.Lane(), schedule.Lane()
    waiting = {"a": [0, 1], "b": [2, 3, 4, 5], "c": [6]}
    taken = [schedule._next_for(lane, [first, second], waiting) for lane in (first, second, first, second, first, first, second)]
    assert taken == [0, 2, 1, 3, 6, 4, 5] and not waiting


def test_workers_that_wait_for_work_do_it_and_end(serial):
    import multiprocessing

    jobs = jobs_of(CHEAP)
    found = dict(schedule.in_processes(jobs, 2, ready=schedule.start(2)))
    assert [found[k].verdict for k in range(len(jobs))] == [form.verdict for claim in serial.verdicts for form in (*claim.forms, *claim.controls)]
    assert not multiprocessing.active_children()
    idle = schedule.start(1)
    idle.end()
    idle.end()


def test_interrupting_ends_the_workers():
    import multiprocessing

    results = schedule.in_processes(jobs_of(CHEAP), 2)
    next(results)
    assert multiprocessing.active_children()
    results.close()
    deadline = time.monotonic() + 60
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


# A Dask cluster


WORKER = [
    sys.executable,
    "-W",
    "ignore",
    "-m",
    "distributed.cli.dask_worker",
    "--nthreads",
    "1",
    "--no-dashboard",
    "--no-nanny",
    "--memory-limit",
    "0",
]
SCHEDULER = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", "0"]


class Cluster:
    """A scheduler and two workers, each a process of its own."""

    def __init__(self, folder):
        self.folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self._start([*SCHEDULER, "--scheduler-file", str(file)], "scheduler")
        deadline = time.monotonic() + 120
        while not file.exists() or not file.read_text().strip():
            assert self.scheduler.poll() is None and time.monotonic() < deadline, (folder / "scheduler.log").read_text()
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]
        self.workers = [self._start([*WORKER, self.address, "--local-directory", str(folder / f"worker-{k}")], f"worker-{k}") for k in range(2)]

    def _start(self, command, name):
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=ROOT)

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    made = Cluster(tmp_path)
    yield made
    made.stop()


class KillsWorker(Killer):
    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster

    def done(self, found):
        if self.killed is None:
            self.killed = self.cluster.workers[0].pid
            self.cluster.workers[0].kill()


@pytest.mark.filterwarnings("ignore")  # Dask's own, about processes that end
def test_two_dask_workers_one_killed_give_the_verdicts_of_one_process(serial, cluster, tmp_path):
    killer = KillsWorker(cluster)
    with Store(tmp_path / "evidence.sqlite") as store:
        run = verify(CHEAP, budget="quick-3", scheduler=cluster.address, store=store, progress=killer)
        assert len(store) == killer.total and killer.killed is not None
        assert cluster.workers[0].wait() == -signal.SIGKILL and cluster.workers[1].poll() is None
    assert figures(run) == figures(serial)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(schedule, "CONNECT_SECONDS", 1)
    with pytest.raises(ModelError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        list(schedule.on_cluster(jobs_of(["performance-difference"]), "tcp://127.0.0.1:9"))


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(schedule.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pgtheory\[cluster\]"):
        list(schedule.on_cluster([], "tcp://127.0.0.1:9"))


# Runs that are killed


RUNS = """
import os, sys
from proofs_check.catalogue import all_claims
from proofs_check.engine.verify import verify
from proofs_check.store import Store
names = sys.argv[1].split(",")
forms = [name for name in names for _ in all_claims()[name].cases()]  # what a run loads before it begins

for line in sys.stdin:
    word, rest = line.rstrip().split(" ", 1)
    if word == "start":
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with Store(rest) as store:
                    verify(names, budget="quick-3", jobs=1, store=store)
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
    else:
        ended, status = os.waitpid(int(rest), os.WNOHANG if word == "poll" else 0)
        print(os.waitstatus_to_exitcode(status) if ended else "", flush=True)
"""


@pytest.fixture(scope="module")
def runs():
    """A process that has loaded everything and forks off a run whenever it is asked for one: a start costs seconds otherwise."""
    command = [sys.executable, "-c", RUNS, ",".join(CHEAP)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT) as process:
        yield process
        process.stdin.close()


class Run:
    """A run in a process of its own, which nothing outlives a SIGKILL of."""

    def __init__(self, runs, path):
        self._runs, self.returncode = runs, None
        self.pid = int(self._asked(f"start {path}"))

    def _asked(self, line):
        self._runs.stdin.write(line + "\n")
        self._runs.stdin.flush()
        return self._runs.stdout.readline().strip()

    def poll(self):
        return self._ended("poll")

    def wait(self):
        return self._ended("wait")

    def _ended(self, word):
        if self.returncode is None:
            status = self._asked(f"{word} {self.pid}")
            self.returncode = int(status) if status else None
        return self.returncode


def any_record(path):
    """Whether a store that is being written to holds a record yet."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select count(*) from record").fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False  # its table is not there yet, or it is locked
    finally:
        connection.close()


def records(path):
    """(claim, form, payload without its time) of every record, in order; the file must be whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    rows = connection.execute("select claim, form, payload from record order by id").fetchall()
    connection.close()
    return [(name, form, {k: x for k, x in json.loads(payload).items() if k != "seconds"}) for name, form, payload in rows if name]


def test_a_run_killed_at_any_instant_goes_on_where_it_was(serial, runs, tmp_path):
    """kill -9 after a random number of finished forms and a random moment more, again and again, until a run comes to its end."""
    path, chance, before = tmp_path / "evidence.sqlite", random.Random(4), 0
    for attempt in range(12):
        process = Run(runs, path)
        wanted = before + chance.randint(1, 3)
        while process.poll() is None and attempt < 11:
            with Store(path) as store:
                if len(store) >= wanted:
                    time.sleep(chance.random() * 0.2)
                    os.kill(process.pid, signal.SIGKILL)
                    break
            time.sleep(0.01)
        process.wait()
        kept = records(path)
        assert len(kept) >= before and len({(name, form) for name, form, _ in kept}) == len(kept)  # nothing lost, nothing done twice
        before = len(kept)
        if process.returncode == 0:
            break
    assert process.returncode == 0 and attempt > 0
    expected = {(f["claim"], f["form"]): f for f in figures(serial)}
    assert {(name, form): payload for name, form, payload in kept} == expected


def test_two_runs_at_once_share_one_store(serial, runs, tmp_path):
    path = tmp_path / "evidence.sqlite"
    first = Run(runs, path)
    while first.poll() is None and not (path.exists() and any_record(path)):
        time.sleep(0.01)
    assert [process.wait() for process in (first, Run(runs, path))] == [0, 0]
    expected = {(f["claim"], f["form"]): f for f in figures(serial)}
    kept = records(path)
    assert len(kept) < 2 * len(expected)  # what one has finished the other does not begin
    assert all(payload == expected[name, form] for name, form, payload in kept) and {(n, f) for n, f, _ in kept} == set(expected)


# The shared budget


def test_the_quick_budget_is_shared_by_counts_of_forms():
    quick, standard = budgets.budget("quick"), budgets.budget("standard")
    assert [b.name for b in budgets.rungs(quick)] == ["quick", "quick-1", "quick-2", "quick-3"]
    assert [b.name for b in budgets.rungs(standard)] == ["standard", "standard-1", "standard-2", "standard-3"]
    for alone in (budgets.budget("deep"), budgets.budget("quick-2")):
        assert budgets.rungs(alone) == [alone]
    assert [budgets.rung(quick, n) for n in (0, 1, 10_000)] == [0, 0, 3] and budgets.rung(budgets.budget("deep"), 10_000) == 0
    steps = [budgets.rung(quick, n) for n in range(1000)]
    assert steps == sorted(steps) and set(steps) == {0, 1, 2, 3}
    for poor, rich in [pair for full in (quick, standard) for pair in zip(budgets.rungs(full)[1:], budgets.rungs(full))]:
        for field in ("population", "generations", "largest", "rationals", "certified_steps", "long_runs", "long_steps", "draws"):
            assert getattr(poor, field) <= getattr(rich, field)
        assert all(a <= b for a, b in zip(poor.horizons, rich.horizons)) and poor.stride >= rich.stride and poor != rich
    assert budgets.richest(budgets.budget("quick-3")) == quick and budgets.richest(standard) == standard
    assert budgets.rungs(budgets.for_another_bound(quick)) == [budgets.for_another_bound(quick)]


@pytest.fixture
def counted(monkeypatch):
    """Which forms are really verified, at which budget; the ladder steps at 2 and 4 forms."""
    done = []

    def examine(case, budget, seed, model=None, progress=None):
        done.append((case.name, budget.name))
        verdict = v.REFUTED if case.kind == "control" else v.CERTIFIED
        return v.FormVerdict(case.claim, case.name, case.kind, case.statement.text(), verdict, budget=budget.name)

    monkeypatch.setattr(schedule, "examine", examine)
    monkeypatch.setitem(budgets.SHARED, "quick", (("quick", 2), ("quick-1", 4), ("quick-2", 6), ("quick-3", None)))
    return done


def test_richer_evidence_is_reused_and_poorer_is_not(tmp_path, counted):
    with Store(tmp_path / "e.sqlite") as store:
        verify("performance-difference", store=store, jobs=1)  # three forms: quick-1
        assert {name for _, name in counted} == {"quick-1"} and len(counted) == 3
        counted.clear()
        verify(["performance-difference", "change-of-measure"], store=store, jobs=1)  # six asked, three missing
        assert len(counted) == 3 and {name for _, name in counted} == {"quick-1"}
        counted.clear()
        verify("performance-difference:visits of the new policy", store=store, jobs=1)  # one form may take the richest
        assert counted == [("visits of the new policy", "quick")]
        counted.clear()
        run = verify("performance-difference", store=store, jobs=1)
        assert not counted and [f.budget for f in run.verdicts[0].forms] == ["quick", "quick-1"]


def test_a_killed_run_goes_on_at_the_rung_at_which_it_began(tmp_path, counted):
    class Interrupting(Killer):
        def done(self, found):
            if len(counted) == 4:
                raise KeyboardInterrupt

    names = ["performance-difference", "change-of-measure"]
    with Store(tmp_path / "e.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            verify(names, store=store, jobs=1, progress=Interrupting())
        assert [name for _, name in counted] == ["quick-2"] * 4
        verify(names, store=store, jobs=1)  # two are missing: alone they would be searched harder
        assert [name for _, name in counted] == ["quick-2"] * 6


def test_a_control_that_survives_on_a_poor_rung_is_tried_on_the_richest(monkeypatch):
    from proofs_check.engine import examination

    tried = []

    def verify_case(case, budget, seed, model=None, progress=None):
        tried.append(budget.name)
        found = v.REFUTED if budget.name == "quick" else v.SUPPORTED
        return v.FormVerdict(case.claim, case.name, case.kind, "", found, budget=budget.name)

    monkeypatch.setattr(examination, "verify_case", verify_case)
    cases = {case.kind: case for case in all_claims()["performance-difference"].cases()}
    assert schedule.examine(cases["control"], budgets.budget("quick-3"), 0).expected and tried == ["quick-3", "quick"]
    tried.clear()
    schedule.examine(cases["statement"], budgets.budget("quick-3"), 0)
    assert schedule.examine(cases["control"], TINY, 0).verdict == v.SUPPORTED and tried == ["quick-3", "tiny"]


def test_cheap_forms_come_first():
    cases = [case for name in ("npg-one-over-T", "performance-difference") for case in all_claims()[name].cases()]
    order = engine._in_order(cases)
    assert order[0].claim == "performance-difference" and order[-1].claim == "npg-one-over-T"
    assert sorted(order, key=cases.index) == cases


def test_claims_of_one_cost_take_turns_a_few_at_a_time():
    names = [name for name, claim in all_claims().items() if max(map(engine._cost, claim.cases())) == 0][: engine.AT_A_TIME + 2]
    order = [case.claim for case in engine._in_order([case for name in names for case in all_claims()[name].cases()])]
    assert order[: engine.AT_A_TIME] == names[: engine.AT_A_TIME]
    last_of_first, first_of_second = max(order.index(n) for n in names[: engine.AT_A_TIME]), order.index(names[engine.AT_A_TIME])
    assert last_of_first < first_of_second == sum(len(all_claims()[name].cases()) for name in names[: engine.AT_A_TIME])


def test_one_process_verifies_one_form_at_a_time(monkeypatch):
    """A worker with several threads: the precision of ball arithmetic is global to the process."""
    inside, most = [0], [0]

    def examine(*args):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        inside[0] -= 1

    monkeypatch.setattr(schedule, "examine", examine)
    job = jobs_of(["performance-difference"])[0]
    threads = [threading.Thread(target=schedule.carry_out, args=(job,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
