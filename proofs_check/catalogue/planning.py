"""Dynamic programming: contraction and its error bounds, policy iteration's counts, modified and approximate policy iteration, the linear program.

Derivation: docs/theory/planning.md
"""

from sympy import Max

from pgtheory.policy_gradient import PolicyIteration, SimplexIteration
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, random_mdps
from proofs_check.instances import HARD, REAL, SMALL
from proofs_check.statement import equal

VECTOR = Extra(("S",), low=-20, high=20, meaning="a vector of values")
ANYWHERE = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
GIVEN = ANYWHERE.replace(extras={"V": VECTOR, "W": VECTOR}.items())
COUNTS = {q.backups: (0, 1, 2, 5)}
BTPAIR = tuple(
    by_hand(f"btpair({g}, 1, 0)", f"btpair({g}, 1, 0)", policy=[[1, 0], [1, 0]], settings={"backups": 1}, extras={"V": [1, -1], "W": [0, 0]})
    for g in ("1/2", "9/10")
)
LOOP_BEHIND = by_hand(
    "loop(9/10) from 0", "loop(9/10)", mu=[1, 0], policy=[[0, 1], [1, 0]], settings={"backups": 2}, extras={"V": [0, 0], "W": [10, 0]}
)

bellman_errors = Claim(
    id="bellman-contraction-and-vi-error",
    title="Bellman backups contract; what value iteration, its stopping rule and a greedy policy are off by",
    source=Source(
        "denardo1967contraction",
        where="Theorem 1 (contraction); Singh, Yee (1994) and Bertsekas, Tsitsiklis (1996), Proposition 6.1 (greedy loss); as recalled",
        version="journal",
    ),
    domain=GIVEN,
    settings=COUNTS,
    forms=[
        Form("contraction", q.backup_difference <= q.gamma * q.vector_difference),
        Form("contraction of a policy's backup", q.policy_backup_difference <= q.gamma * q.vector_difference, polynomial=((2, 2, "rewards"),)),
        Form("value iteration", q.iterated_gap <= q.gamma**q.backups * q.vector_gap),
        Form("stopping rule", q.vector_backup_gap <= q.gamma / (1 - q.gamma) * q.vector_residual),
        Form("greedy loss", q.greedy_loss <= 2 * q.gamma / (1 - q.gamma) * q.vector_gap),
        Form(
            "certificate below",
            q.best_advantages <= q.state_gaps,
            domain=ANYWHERE,
            settings={},
            instances=SMALL + REAL,
            polynomial=((2, 2, "optimum"),),
        ),
        Form(
            "certificate above",
            q.gap_sup <= q.best_advantage / (1 - q.gamma),
            domain=ANYWHERE,
            settings={},
            instances=SMALL + REAL,
            polynomial=((2, 2, "policy"),),
        ),
    ],
    negative_controls=[
        Control(
            "greedy loss without the factor 2",
            q.greedy_loss <= q.gamma / (1 - q.gamma) * q.vector_gap,
            because="the error of V counts twice: it makes the bad action look better and the good one worse",
        ),
        Control(
            "gamma squared",
            q.backup_difference <= q.gamma**2 * q.vector_difference,
            because="a backup looks one step ahead, not two",
        ),
        Control(
            "stopping rule without the horizon",
            q.vector_backup_gap <= q.gamma * q.vector_residual,
            because="changes of that size may follow at every further backup, and they add up over the horizon",
        ),
        Control(
            "certificate without the horizon",
            q.gap_sup <= q.best_advantage,
            domain=ANYWHERE,
            settings={},
            instances=SMALL,
            because="the best action brings its advantage again at every visit, up to the effective horizon",
        ),
    ],
    instances=(*BTPAIR, LOOP_BEHIND, *SMALL),
)

newton = Claim(
    id="policy-iteration-is-newton",
    title="Policy iteration is Newton's method for V = TV",
    source=Source("puterman1979convergence", where="the equation of Section 2, as recalled", version="journal"),
    domain=random_mdps(policy="deterministic", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
    process=PolicyIteration(),
    horizon=10,
    forms=[Form("step", equal(q.next_state_values, q.newton_values))],
    negative_controls=[
        Control(
            "slope of the current policy",
            equal(q.next_state_values, q.newton_values_present_slope),
            because="TV bends at the greedy policy: its slope at V is that of the greedy policy, not of the policy whose value V is",
        ),
    ],
    instances=SMALL + HARD + REAL,
    kind="equal",
)

DETERMINISTIC = random_mdps(policy="deterministic", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
FEW_STEPS = 30

iteration_counts = Claim(
    id="howard-and-simplex-pi-iteration-bounds",
    title="How often policy iteration changes its policy, all states at once or one at a time",
    source=Source(
        "scherrer2016improved", where="Theorems 3 and 4, after Ye (2011) and Hansen, Miltersen, Zwick (2013); as recalled", version="arXiv:1306.0386"
    ),
    domain=DETERMINISTIC,
    horizon=FEW_STEPS,
    forms=[
        Form("howard", q.policy_changed * (q.t + 1) <= q.S * (q.A - 1) * Max(1, q.horizon_log_horizon), process=PolicyIteration()),
        Form("simplex", q.policy_changed * (q.t + 1) <= q.S * (q.A - 1) * Max(1, q.pairs_log_pairs), process=SimplexIteration()),
        Form("simplex contraction", q.next_gap_sum <= (1 - (1 - q.gamma) / q.S) * q.gap_sum, process=SimplexIteration()),
    ],
    negative_controls=[
        Control(
            "howard without S(A-1)",
            q.policy_changed * (q.t + 1) <= Max(1, q.horizon_log_horizon),
            process=PolicyIteration(),
            because="within L log L steps one action is eliminated, and there may be S(A-1) of them",
        ),
        Control(
            "howard without the maximum",
            q.policy_changed * (q.t + 1) <= q.S * (q.A - 1) * q.horizon_log_horizon,
            process=PolicyIteration(),
            because="at discount 0 the count L log L is 0, and a bad first policy needs one change",
        ),
        Control(
            "simplex contracts like a backup",
            q.next_gap_sum <= q.gamma * q.gap_sum,
            process=SimplexIteration(),
            because="one state switches, so the others' share of the gap may stay as it is",
        ),
    ],
    instances=("domino(8, 3/10)", "arms([1, 0])", "8 * arms([1, 0])", *SMALL, *HARD, *REAL),
    departs="max{1, .}: the printed counts are 0 at discount 0 (Howard) and for one state at discount 0 (simplex), where one change may be needed",
)

MODIFIED_SETTINGS = {q.backups: (0, 1, 2, 4), q.sweeps: (1, 2, 5)}
OVERSHOOT = by_hand(
    "overshoot",
    transitions=[[["4/5", "1/5"], [0, 1]], [[0, 1], ["7/10", "3/10"]]],
    rewards=[["1/10", "3/10"], ["1/10", 1]],
    discount="9/10",
    settings={"backups": 1, "sweeps": 5},
    extras={"V": [8, 6]},
)

modified = Claim(
    id="modified-policy-iteration",
    title="Modified policy iteration from below is at least as fast as value iteration",
    source=Source("puterman1978modified", where="Theorem 1, as recalled", version="journal"),
    domain=ANYWHERE.replace(extras={"V": VECTOR}.items()),
    settings=MODIFIED_SETTINGS,
    forms=[
        Form("rate", q.modified_gap <= q.gamma**q.backups * q.modified_gap_0),
        Form("at least value iteration", q.modified_values >= q.value_iteration_values),
        Form("at most optimal", q.modified_values <= q.optimal_values),
        Form("nondecreasing", q.next_modified_values >= q.modified_values),
    ],
    negative_controls=[
        Control(
            "from anywhere",
            q.modified_gap_from_anywhere <= q.gamma**q.backups * q.vector_gap,
            because="several backups with a policy that is greedy for a poor vector lead towards that policy's value, past one backup's",
        ),
        Control(
            "gamma to the number of backups",
            q.modified_gap <= q.gamma ** (q.backups * q.sweeps) * q.modified_gap_0,
            because="further backups with the same policy approach its value, not the optimum",
        ),
    ],
    instances=(OVERSHOOT, *SMALL, *HARD),
)

LURED = tuple(
    by_hand(
        f"lure(8, {g}, 1, 0)",
        f"lure(8, {g}, 1, 0)",
        policy=[[0, 1]] * 9,
        settings={"backups": 8},
        extras={"errors": [[1 if s == j + 1 else -1 if s == j else 0 for s in range(9)] for j in range(8)]},
    )
    for g in ("1/2", "9/10")
)
LOSS = 2 * q.gamma * q.largest_error / (1 - q.gamma) ** 2

approximate = Claim(
    id="approximate-policy-iteration-error",
    title="What errors of the evaluation cost approximate policy iteration",
    source=Source("bertsekas1996neuro", where="Proposition 6.2 (in the limit); for every k derived", version="textbook"),
    domain=ANYWHERE.replace(extras={"errors": Extra((8, "S"), low=-1, high=1, meaning="errors of the evaluations")}.items()),
    settings={q.backups: (1, 2, 4, 8)},
    forms=[
        Form("derived", q.approximate_gap <= q.gamma**q.backups * q.gap_sup_0 + LOSS * (1 - q.gamma**q.backups)),
        Form("printed", q.approximate_gap <= q.gamma**q.backups * q.gap_sup_0 + LOSS),
    ],
    negative_controls=[
        Control(
            "one horizon less",
            q.approximate_gap <= q.gamma**q.backups * q.gap_sup_0 + LOSS * (1 - q.gamma),
            because="each iteration may be lured once more, and a lured policy pays in every step of its horizon",
        ),
        Control(
            "half the constant",
            q.approximate_gap <= q.gamma**q.backups * q.gap_sup_0 + LOSS / 2 * (1 - q.gamma**q.backups),
            because="the error counts twice in each greedy step: for the action that is taken and against the one that is not",
        ),
    ],
    instances=(*LURED, *SMALL),
    departs="the derived form has the factor 1 - gamma^k, which LURE attains at every k",
)

FLOW = random_mdps(policy="any", other="any", rho="mu", rewards=None, max_states=3, max_actions=3)
SHARED = FLOW.replace(extras={"share": Extra((), meaning="weight of the first policy's occupancy"), "V": VECTOR}.items())
TOO_HIGH = by_hand("loop(9/10), V too high where mu is 0", "loop(9/10)", mu=[0, 1], other=[["1/2", "1/2"]] * 2, extras={"V": [13, 0], "share": "1/2"})

duality = Claim(
    id="occupancy-lp-duality",
    title="The linear program of the values and that of the occupancies",
    source=Source("depenoux1963probabilistic", where="the linear program; Puterman (2005), Section 6.9; as recalled", version="journal"),
    domain=FLOW,
    forms=[
        Form("occupancies satisfy the flow equations", equal(q.flow_residual, q.zero), symbolic=((1, 2), (2, 2))),
        Form("their reward is the value", equal(q.occupancy_reward, (1 - q.gamma) * q.value_mu), symbolic=((1, 2), (2, 2))),
        Form("every flow is an occupancy", equal(q.mixed_flow, q.occupancy_of_its_policy), domain=SHARED),
        Form("strong duality", equal(q.optimal_occupancy_reward, (1 - q.gamma) * q.optimal_value_mu)),
        Form("complementary slackness", equal(q.dual_slack, (1 - q.gamma) * q.optimal_value_mu - q.occupancy_reward)),
        Form("feasible values are above", q.feasible_values >= q.optimal_values, domain=SHARED),
        Form("unique minimiser where mu is positive", q.feasible_excess / q.inverse_mu <= q.feasible_excess_mu, domain=SHARED),
    ],
    negative_controls=[
        Control(
            "unique minimiser for any start",
            q.feasible_excess <= q.S**3 * q.feasible_excess_mu,
            domain=SHARED.replace(mu="any"),
            because="where mu is 0 and nothing leads from mu, values may be too high at no cost",
        ),
        Control(
            "flow without discount",
            equal(q.flow_residual_undiscounted, q.zero),
            because="a share 1 - gamma of the flow enters afresh in each step; without it the flow is that of the average reward problem",
        ),
        Control(
            "reward of the occupancy is the value",
            equal(q.occupancy_reward, q.value_mu),
            because="occupancies are normalised to 1, so their reward is that of one step: (1 - gamma) times the value",
        ),
    ],
    instances=(TOO_HIGH, *SMALL, *REAL),
    kind="equal",
)
