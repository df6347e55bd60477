"""Where the cells of a sweep are computed changes nothing: worker processes, a Dask cluster; a killed run goes on where it was."""

from __future__ import annotations

import dataclasses
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from test_scheduler import ROOT, Cluster, environment
from test_sweep import Counted, figures

from mdps.errors import ModelError
from proofs_check.engine import schedule
from proofs_check.store import Store
from proofs_check.sweep import Plan, cells, sweep
from proofs_check.sweep.runs import all_series

PLAN = Plan(("chain(1)", "bernoulli(3/4, 1/4)"), ("softmax-pg", "reinforce"), ("1/4", "1"), seeds=12, steps=8, samples=2)
RUN = """
import sys
from proofs_check.store import Store
from proofs_check.sweep import cells, read_plan, sweep
cells.SECONDS_A_BLOCK = 1e-9
with Store(sys.argv[1]) as store:
    sweep(read_plan(sys.argv[2]), jobs=1, store=store)
"""


@pytest.fixture(scope="module")
def here():
    return sweep(PLAN, jobs=1)


def test_two_worker_processes_give_the_figures_of_one(here, tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "SECONDS_A_BLOCK", 5e-4)
    seen = Counted()
    with Store(tmp_path / "evidence.sqlite") as store:
        assert figures(sweep(PLAN, jobs=2, store=store, progress=seen)) == figures(here)
        assert len(store) == len(seen.blocks) > 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, about processes that end
def test_two_dask_workers_give_the_figures_of_one_process(here, tmp_path):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    try:
        with Store(tmp_path / "evidence.sqlite") as store:
            assert figures(sweep(PLAN, scheduler=cluster.address, store=store)) == figures(here)
            assert len(store) == 8
    finally:
        cluster.stop()


def test_a_killed_sweep_goes_on_where_it_was(here, tmp_path):
    """kill -9 when a few cells are in the store: whole blocks are there, none twice, and the next call does only the others."""
    path = tmp_path / "evidence.sqlite"
    plan = tmp_path / "plan.json"
    PLAN.save(plan)
    process = subprocess.Popen([sys.executable, "-c", RUN, str(path), str(plan)], env=environment(), cwd=ROOT)
    kept = 0
    while process.poll() is None and kept < 3:
        kept = _count(path)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = _count(path)
    assert kept >= 3
    rest = Counted()
    with Store(path) as store:
        assert figures(sweep(PLAN, jobs=1, store=store, progress=rest)) == figures(here)
    assert rest.known == kept and sum(block.count for block in rest.blocks) == rest.total - kept


def _count(path):
    """Records in a store that is being written to; 0 before it is there."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select count(*) from record").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_a_worker_with_other_sources_refuses():
    (block,) = all_series(PLAN)[2].blocks(np.arange(12))
    assert not schedule.same_files()
    with pytest.raises(ModelError, match="other sources"):
        cells.carry_out(dataclasses.replace(block, sources="0"))
    assert cells.unpack(cells.carry_out(block)).gaps.shape[0] == 12
