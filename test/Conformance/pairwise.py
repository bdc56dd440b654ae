"""Cases in which every pair of values of two factors occurs, as far as the constraint allows."""
import itertools
import random


def pairwise(factors, allowed=lambda case: True, seed=0):
    """Rows (dicts) over `factors` {name: values}; deterministic. Pairs no allowed row can hold are left out."""
    draw = random.Random(seed)
    names = list(factors)

    def pairs(row):
        return {(a, repr(row[a]), b, repr(row[b])) for a, b in itertools.combinations(names, 2)}

    missing = {}
    for a, b in itertools.combinations(names, 2):
        for x, y in itertools.product(factors[a], factors[b]):
            missing[(a, repr(x), b, repr(y))] = {a: x, b: y}
    rows = []
    while missing:
        fixed = next(iter(missing.values()))
        best, gain = None, 0
        for _ in range(150):
            row = {name: fixed.get(name, draw.choice(factors[name])) for name in names}
            if allowed(row):
                covered = sum(pair in missing for pair in pairs(row))
                if covered > gain:
                    best, gain = row, covered
        if best is None:
            del missing[next(iter(missing))]
            continue
        rows.append(best)
        for pair in pairs(best):
            missing.pop(pair, None)
    return rows
