"""Compiled L1 worst cases for whole sweeps: the values are sorted once, then every row is read once.

    l1_dense, l1_sparse    sigma of every pair for the (s, a)-rectangular set: p . v, plus what moves from the top down to the lowest value
    l1_blocks              the s-rectangular update of every state without a linear program (`blocks.best_block` is its plain form)

    l1_repeated            many sweeps of either kind in one call; an insertion sort keeps the order, which moves little between two sweeps

A row's dot product with the values is one pass over memory; the walk from the most valuable state downwards ends after the few states that hold half
the radius.  Rounding: a row of n entries has at most 2n + 8 operations on numbers of size at most max|v| after the values were centred.
"""

from __future__ import annotations

import numpy as np

from pgtheory.kernels import dot, fast_kernel


@fast_kernel
def l1_dense(first_pair, rows, rewards, discount, values, order, mass, nominal, out, best, chosen):
    """out[k] = rewards[k] + discount min q . values over |q - rows[k]|_1 <= 2 mass[k]; best[s] its largest of state s, at the pair chosen[s].

    order: the states by falling value.  nominal: only where the row is positive."""
    n = values.size
    for s in range(best.size):
        top, at = -np.inf, first_pair[s]
        for k in range(first_pair[s], first_pair[s + 1]):
            row = rows[k]
            total = dot(row, values)
            target = n - 1
            if nominal:
                while target > 0 and row[order[target]] == 0.0:
                    target -= 1
            least = values[order[target]]
            left = min(mass[k], max(1.0 - row[order[target]], 0.0))
            for j in range(target):
                if left <= 0.0:
                    break
                state = order[j]
                moved = min(left, row[state])
                total -= moved * (values[state] - least)
                left -= moved
            worth = rewards[k] + discount * total
            out[k] = worth
            if worth > top:
                top, at = worth, k
        best[s], chosen[s] = top, at


@fast_kernel
def l1_sparse(indptr, indices, data, values, least_of_all, mass, nominal, scratch, out):
    """As `l1_dense` for compressed rows; scratch: as long as the longest row."""
    for k in range(out.size):
        begin, end = indptr[k], indptr[k + 1]
        total, least, at_least = 0.0, np.inf, 0.0
        for i in range(begin, end):
            value, probability = values[indices[i]], data[i]
            total += probability * value
            scratch[i - begin] = value
            if probability > 0.0 and value < least:
                least = value
        if not nominal:
            least = least_of_all
        for i in range(begin, end):
            if scratch[i - begin] <= least:
                at_least += data[i]
        left = min(mass[k], max(1.0 - at_least, 0.0))
        while left > 0.0:
            best, top = -1, least
            for i in range(end - begin):
                if scratch[i] > top:
                    best, top = i, scratch[i]
            if best < 0:
                break
            moved = min(left, data[begin + best])
            total -= moved * (top - least)
            left -= moved
            scratch[best] = -np.inf
        out[k] = total


@fast_kernel
def l1_blocks(first_pair, rows, rewards, discount, values, order, mass, nominal, level, policy):
    """level[s] = max over pi of min over q of sum_a pi_a (r_a + gamma q_a . values), sum_a |q_a - p_a|_1 <= 2 mass[s]; policy (pairs,) attains it.

    Returns by how much mass any state's budget was missed: 0 but for rounding."""
    n = values.size
    most = 0
    for s in range(level.size):
        most = max(most, first_pair[s + 1] - first_pair[s])
    top, least, slopes = np.empty(most), np.empty(most), np.empty(most)
    last = np.empty(most, dtype=np.int64)
    missed = 0.0
    for s in range(level.size):
        begin, count, budget = first_pair[s], first_pair[s + 1] - first_pair[s], mass[s]
        u, floor, holder, share = -np.inf, -np.inf, 0, budget / count
        for a in range(count):
            row = rows[begin + a]
            top[a] = rewards[begin + a] + discount * dot(row, values)
            target = n - 1
            if nominal:
                while target > 0 and row[order[target]] == 0.0:
                    target -= 1
            least[a], last[a] = values[order[target]], target
            reached, left = top[a], share
            for j in range(target):
                if left <= 0.0 or reached <= u:
                    break
                moved = min(left, row[order[j]])
                reached -= moved * discount * (values[order[j]] - least[a])
                left -= moved
            u = max(u, reached)  # the budget in equal parts: a level that nature reaches, so the first Newton step goes down, past the root
            bottom = rewards[begin + a] + discount * least[a]
            if bottom > floor:
                floor, holder = bottom, a
        spent, slope = 0.0, 0.0
        for steps in range(64):
            spent, slope = 0.0, 0.0
            for a in range(count):
                need, used, rate = top[a] - u, 0.0, 0.0
                if need > 0.0:
                    row = rows[begin + a]
                    for j in range(last[a]):
                        probability = row[order[j]]
                        if probability > 0.0:
                            drop = discount * (values[order[j]] - least[a])
                            if drop <= 0.0:
                                break
                            rate = 1.0 / drop  # stays at the last one where rounding leaves a need that nothing meets
                            if probability * drop >= need:
                                used += need / drop
                                break
                            used += probability
                            need -= probability * drop
                slopes[a] = rate
                spent += used
                slope += rate
            if slope == 0.0 or (steps > 0 and spent <= budget):
                break
            following = max(u + (spent - budget) / slope, floor)
            if following == u or (steps > 0 and following < u):
                break
            u = following
        level[s] = u
        if slope == 0.0 or (u <= floor and spent <= budget):  # one action holds the level alone
            best = holder
            if slope == 0.0 and u > floor:
                for a in range(count):
                    if top[a] > top[best]:
                        best = a
            for a in range(count):
                policy[begin + a] = 0.0
            policy[begin + best] = 1.0
        else:
            missed = max(missed, abs(spent - budget))
            for a in range(count):
                policy[begin + a] = slopes[a] / slope
    return missed


@fast_kernel
def keep_sorted(order, values):
    """`order` by falling value, from an order that was so for values near these."""
    for i in range(1, order.size):
        state = order[i]
        j = i - 1
        while j >= 0 and values[order[j]] < values[state]:
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = state


@fast_kernel
def l1_repeated(first_pair, rows, rewards, discount, values, order, mass, nominal, by_pairs, count):
    """T^count values, in place, for the L1 set of pairs (`by_pairs`) or of states; `order` is kept sorted.  No bounds on the rounding."""
    best, out, policy = np.empty(values.size), np.empty(rewards.size), np.empty(rewards.size)
    chosen = np.empty(values.size, dtype=np.int64)
    for _ in range(count):
        keep_sorted(order, values)
        if by_pairs:
            l1_dense(first_pair, rows, rewards, discount, values, order, mass, nominal, out, best, chosen)
        else:
            l1_blocks(first_pair, rows, rewards, discount, values, order, mass, nominal, best, policy)
        values[:] = best
