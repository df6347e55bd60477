"""Instances: named models dressed for a claim, JSON, exact twins, the exact optimum."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from small import random_instances
from test_domains import CASES, OF_CLAIM, about, distinct

from mdps import zoo
from mdps.errors import ModelError
from mdps.rational import rational, rational_array, to_float
from proofs_check.domains import Domain, free_settings, in_range
from proofs_check.instance import Batch, Instance, exact_optimum
from proofs_check.instances import BANDITS, HARD, LARGE, REAL, SMALL, dressed, in_reward_range, named, settle, start_distributions, start_policies


@pytest.mark.exact
@pytest.mark.catalogue
@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_named_instances_are_exact_and_meet_the_assumptions(identifier):
    for case in distinct(OF_CLAIM[identifier], "instances", "domain", "settings"):
        with about(case):
            _named_instances_are_exact_and_meet_the_assumptions(case)


def _named_instances_are_exact_and_meet_the_assumptions(case):
    quick = tuple(i for i in case.instances if isinstance(i, str) and i in SMALL + BANDITS)
    for entries in (quick, case.instances[:1], case.instances):  # a form may speak about some of its claim's instances only
        small = dataclasses.replace(case, instances=entries)
        found = list(named(small))
        if found:
            break
    assert found
    for instance in found:
        assert instance.is_exact and instance.name
        assert not case.domain.broken(instance) and in_range(case.settings, instance)
        for rows in (instance.transitions, instance.mu, instance.rho, instance.policy):
            assert (np.asarray(rows.sum(axis=-1)).reshape(-1) == 1).all()
    if all(isinstance(entry, Instance) for entry in small.instances):
        return  # complete as they are
    several = [i for i in found if i.shape[0] > 1]
    if several and case.domain.policy == "interior":
        assert len({str(i.policy.tolist()) for i in several}) > 2
    if several:
        assert len({str(i.mu.tolist()) for i in several}) > 1
    if any(not isinstance(case.settings[name], tuple) or len(case.settings[name]) > 1 for name in free_settings(case.settings)):
        assert len({str(sorted(map(str, i.settings.items()))) for i in found}) > 1


def test_all_named_models_load():
    for expression in {*SMALL, *HARD, *REAL, *LARGE, *BANDITS}:
        assert zoo.load(expression).is_rectangular, expression


@pytest.mark.exact
def test_rewards_outside_the_range_are_mapped_onto_it_and_the_name_says_so():
    model = zoo.load("loop(9/10)").exact
    wide = model.replace(rewards=model.rewards * 10 - 3)
    mapped = in_reward_range(Domain(), wide)
    assert (mapped.exact.rewards == model.rewards).all() and "mapped" in mapped.name
    assert in_reward_range(Domain(rewards=None), wide) is wide and in_reward_range(Domain(), model) is model


@pytest.mark.exact
def test_start_policies_and_distributions():
    model = zoo.load("loop(9/10)")
    for kind, fits in (
        ("uniform", lambda p: (p == rational("1/2")).all()),
        ("deterministic", lambda p: ((p == 0) | (p == 1)).all()),
        ("interior", lambda p: (p > 0).all()),
    ):
        found = list(start_policies(Domain(policy=kind), 2, 2))
        assert found and all(fits(p) and (p.sum(axis=1) == 1).all() for p in found)
    assert len(list(start_policies(Domain(policy="interior"), 2, 1))) == 1
    for mu, rho in start_distributions(Domain(mu="positive"), model):
        assert (mu > 0).all() and rho.sum() == 1
    assert any((mu == 0).any() for mu, _ in start_distributions(Domain(mu="any"), model))
    assert all((mu == rho).all() for mu, rho in start_distributions(Domain(rho="mu"), model))


def test_a_cut_list_still_varies_everything():
    case = CASES["npg-one-over-T:monotone"]
    found = list(itertools.islice(dressed(case, zoo.load("chain(6, 9/10)")), 12))
    assert (
        len({str(i.policy.tolist()) for i in found}) > 2
        and len({str(i.settings) for i in found}) > 1
        and len({str(i.mu.tolist()) for i in found}) > 1
    )


def test_settle_leaves_out_what_is_outside_the_domain():
    case = CASES["npg-one-over-T:rate"]
    (instance,) = random_instances(1, 2, 2)
    assert settle(case, dataclasses.replace(instance, settings={"eta": rational(1)})) is None  # not a uniform start
    uniform = dataclasses.replace(instance, policy=rational_array([["1/2", "1/2"]] * 2), settings={"eta": rational(1)})
    assert settle(case, uniform) is not None
    assert settle(case, dataclasses.replace(uniform, settings={"eta": rational(10**7)})) is None


# JSON, floats, batches


@pytest.mark.exact
def test_json_keeps_an_exact_instance():
    (instance,) = random_instances(2, 3, 2)
    back = Instance.from_json(instance.to_json())
    for field in ("transitions", "rewards", "mu", "rho", "policy", "other"):
        assert (getattr(back, field) == getattr(instance, field)).all(), field
    assert back.discount == instance.discount and back.settings == instance.settings and back.is_exact


def test_a_broken_file_is_told_what_is_wrong():
    (instance,) = random_instances(3, 2, 2)
    data = instance.to_json()
    for field in ("transitions", "rewards", "discount", "mu", "rho", "policy"):
        with pytest.raises(ModelError, match=field):
            Instance.from_json({k: v for k, v in data.items() if k != field})
    for change in ({"rho": ["1/2", "1/3"]}, {"policy": [["1", "1"], ["1", "0"]]}, {"policy": [["2", "-1"], ["1", "0"]]}, {"other": [["1", "0"]]}, {"discount": "1"}, {"mu": ["1", "1"]},
                   {"rewards": [["1", "x"], ["0", "0"]]}):  # fmt: skip
        with pytest.raises(ModelError):
            Instance.from_json(data | change)


def test_floats_of_an_exact_instance_are_correctly_rounded():
    (instance,) = random_instances(4, 2, 3)
    x = instance.as_float()
    assert x.as_float() is x and not x.is_exact
    assert (x.transitions == to_float(instance.transitions)).all() and isinstance(x.discount, float)
    assert x.settings == {"eta": 0.2, "tau": 0.5}


def test_batches_hand_back_what_they_were_made_of():
    instances = [i.as_float() for i in random_instances(5, 2, 2, count=3)]
    batch = Batch.of(instances)
    assert batch.size == 3
    for k, instance in enumerate(instances):
        again = batch[k]
        assert all((getattr(again, f) == getattr(instance, f)).all() for f in ("transitions", "rewards", "mu", "rho", "policy", "other"))
        assert again.settings == instance.settings and again.discount == instance.discount
    kept = batch.take(np.array([True, False, True]))
    assert kept.size == 2 and (kept[1].rewards == instances[2].rewards).all() and kept.other is not None


# The exact optimum


@pytest.mark.exact
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2), (3, 2)])
def test_the_exact_optimum_is_the_best_deterministic_policy(shape):
    from flint import fmpq_mat

    for instance in random_instances(6, *shape, count=3):
        values, action_values = exact_optimum(instance)
        states, actions = shape
        best = None
        for choice in itertools.product(range(actions), repeat=states):
            rows = np.arange(states), list(choice)
            matrix = instance.transitions[rows] * -instance.discount
            matrix[np.arange(states), np.arange(states)] += 1
            found = fmpq_mat(states, states, matrix.reshape(-1).tolist()).solve(fmpq_mat(states, 1, instance.rewards[rows].tolist())).entries()
            best = found if best is None or sum(found) > sum(best) else best
        assert values.tolist() == best
        assert (action_values.max(axis=1) == values).all()


@pytest.mark.exact
def test_the_exact_optimum_knows_ties_that_floats_do_not():
    """Two actions whose values differ by 1e-30: one is optimal and the other is not."""
    (instance,) = random_instances(7, 1, 2)
    for better in (0, 1):
        rewards = rational_array([[1, 1]])
        rewards[0, 1 - better] = rewards[0, 1 - better] - rational(f"1/{10**30}")
        values, action_values = exact_optimum(dataclasses.replace(instance, rewards=rewards))
        assert (action_values == values[:, None]).tolist() == [[better == 0, better == 1]]
