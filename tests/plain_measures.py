"""MMEB-V2's measures of one query, as its sheet says them."""

import numpy as np


def plainly(ranked, labels, grades):
    """What the sheet says of the evaluators, 3.1 and 3.4, a line each."""
    distinct = list(set(labels))
    relevance = dict.fromkeys(distinct, 1) if grades is None else dict(zip(distinct, grades, strict=True))
    found = {}
    for k in (1, 5, 10):
        cut = ranked[:k]
        same = len(set(cut) & set(distinct))
        found[f"hit@{k}"] = 1.0 if same else 0.0
        found[f"precision@{k}"] = p = same / k if distinct else 0.0
        found[f"recall@{k}"] = r = same / len(distinct) if distinct else 1.0
        found[f"f1@{k}"] = 2 * (p * r) / (p + r) if p + r else 0.0
        score, hits = 0.0, 0
        for i, name in enumerate(cut):
            if name in distinct:
                hits += 1
                score += hits / (i + 1.0)
        found[f"map@{k}"] = score / min(len(distinct), k) if hits else 0.0
        found[f"mrr@{k}"] = next((1.0 / (i + 1) for i, name in enumerate(cut) if name in distinct), 0.0)
        for form, gain in (("linear", lambda rel: rel), ("exponential", lambda rel: 2**rel - 1)):
            rows = [relevance.get(name, 0) for name in cut], sorted(relevance.values(), reverse=True)[:k]
            dcg, best = (sum(gain(rel) / np.log2(i + 2) for i, rel in enumerate(row)) for row in rows)
            found[f"ndcg_{form}@{k}"] = float(dcg / best) if best > 0 else 0.0
    return found
