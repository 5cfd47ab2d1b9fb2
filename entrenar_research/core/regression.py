"""Whether repeated measurements got worse: statistics on samples, not a look at two numbers.

Each quantity has samples before and now. In this order: constant on both sides, they are compared exactly; too few
samples are said to be too few; a baseline that varies too much is not tested; the rest is tested with Welch's t-test
(B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34, 1947), the p-values corrected for their number after Holm (S. Holm, "A simple sequentially rejective
multiple test procedure", Scandinavian Journal of Statistics 6, 1979). A significant change counts if it is also
larger than the tolerance; more is worse, so less is an improvement. How large a change is, in standard deviations,
is Hedges' g (L. V. Hedges, "Distribution theory for Glass's estimator of effect size", Journal of Educational
Statistics 6, 1981).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

State = Literal["unchanged", "regression", "improvement", "too noisy", "insufficient data"]

_STEPS: Final = 300
_TINY: Final = 1e-300
_PRECISION: Final = 3e-16


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How strict to be: `alpha` is the chance of a false alarm in all tests together.

    A baseline whose coefficient of variation (standard deviation / mean) is above `noise` is not tested. A change
    counts only if it is more than `tolerance` of the baseline's mean, and more than `floor`, in the quantity's unit.
    """

    alpha: float = 0.05
    least: int = 5
    noise: float = 0.5
    tolerance: float = 0.0
    floor: float = 0.0


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a quantity: means before and now; p-value (corrected) and effect where it was tested."""

    name: str
    state: State
    before: float
    now: float
    words: str
    p: float | None = None
    effect: float | None = None

    @property
    def relative(self) -> float | None:
        """The change as a share of the mean before; None where that is 0."""
        return (self.now - self.before) / self.before if self.before else None


def judge(
    before: Mapping[str, Sequence[float]], now: Mapping[str, Sequence[float]], rules: Rules | None = None
) -> tuple[Change, ...]:
    """Every quantity that has samples before or now, by name; one that is missing on a side has no samples there."""
    rules = rules or Rules()
    judged: dict[str, Change] = {}
    tested: dict[str, float] = {}
    for name in sorted({*before, *now}):
        old, new = tuple(before.get(name, ())), tuple(now.get(name, ()))
        settled = _without_a_test(name, old, new, rules)
        if settled is not None:
            judged[name] = settled
        else:
            tested[name] = welch(old, new)
    for name, p in holm(tested).items():
        judged[name] = _tested(name, before[name], now[name], p, rules)
    return tuple(judged[name] for name in sorted(judged))


def _without_a_test(name: str, old: Sequence[float], new: Sequence[float], rules: Rules) -> Change | None:
    if not old or not new:
        missing = "before" if not old else "now"
        return _change(name, "insufficient data", old, new, f"no samples {missing}")
    if len(set(old)) == 1 and len(set(new)) == 1 and len(old) >= rules.least:
        if old[0] == new[0]:
            return _change(name, "unchanged", old, new, f"always {old[0]:.6g}")
        words = f"always {old[0]:.6g} before, {_always(new)} now"
        return _change(name, _direction(old, new, rules), old, new, words)
    if min(len(old), len(new)) < rules.least:
        words = f"{len(old)} samples before and {len(new)} now, at least {rules.least} of each are needed"
        return _change(name, "insufficient data", old, new, words)
    noise = variation(old)
    if noise > rules.noise:
        words = f"it varied by {noise:.0%} before, above {rules.noise:.0%} nothing is tested"
        return _change(name, "too noisy", old, new, words)
    return None


def _always(samples: Sequence[float]) -> str:
    return f"{'always ' if len(samples) > 1 else ''}{samples[0]:.6g}"


def _tested(name: str, old: Sequence[float], new: Sequence[float], p: float, rules: Rules) -> Change:
    effect = hedges_g(old, new)
    words = f"p = {p:.2g}, g = {effect:+.2f}"
    if p >= rules.alpha:
        return _change(name, "unchanged", old, new, words, p=p, effect=effect)
    state = _direction(old, new, rules)
    return _change(name, state, old, new, words, p=p, effect=effect)


def _direction(old: Sequence[float], new: Sequence[float], rules: Rules) -> State:
    before, now = statistics.fmean(old), statistics.fmean(new)
    if abs(now - before) <= max(rules.tolerance * abs(before), rules.floor):
        return "unchanged"
    return "regression" if now > before else "improvement"


def _change(
    name: str,
    state: State,
    old: Sequence[float],
    new: Sequence[float],
    words: str,
    *,
    p: float | None = None,
    effect: float | None = None,
) -> Change:
    before, now = (statistics.fmean(samples) if samples else 0.0 for samples in (old, new))
    return Change(name=name, state=state, before=before, now=now, words=words, p=p, effect=effect)


def variation(samples: Sequence[float]) -> float:
    """The coefficient of variation: standard deviation / |mean|; 0 for one sample, infinite around a mean of 0."""
    if len(samples) < 2 or len(set(samples)) == 1:
        return 0.0
    mean = abs(statistics.fmean(samples))
    return statistics.stdev(samples) / mean if mean else math.inf


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """The two-sided p-value of Welch's t-test; 1 for equal constants, 0 for different ones.

    Raises:
        ValueError: if a side has fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("Welch's test needs two samples of each")
    difference = statistics.fmean(one) - statistics.fmean(other)
    spreads = [_variance(samples) / len(samples) for samples in (one, other)]
    spread = sum(spreads)
    if spread == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    # Welch and Satterthwaite's degrees of freedom, with shares in place of squares that could underflow.
    shares = [item / spread for item in spreads]
    freedom = 1.0 / sum(share**2 / (len(samples) - 1) for share, samples in zip(shares, (one, other), strict=True))
    return student(difference / math.sqrt(spread), freedom)


def _variance(samples: Sequence[float]) -> float:
    return 0.0 if len(set(samples)) == 1 else statistics.variance(samples)


def student(t: float, freedom: float) -> float:
    """How likely |T| >= |t| is in Student's distribution with `freedom` degrees of freedom."""
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1, by its continued fraction.

    NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/8.17, equations 8.17.4 and 8.17.22,
    evaluated by Lentz's method (W. J. Lentz, Applied Optics 15, 1976, in the modified form of Thompson and Barnett).
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(logarithm) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """The p-values by name, corrected for their number so that all together keep the chance of a false alarm."""
    ordered = sorted(values.items(), key=lambda item: (item[1], item[0]))
    corrected: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p))
        corrected[name] = largest
    return corrected


def hedges_g(before: Sequence[float], now: Sequence[float]) -> float:
    """The difference of the means in pooled standard deviations, corrected for few samples; positive where now is more.

    Infinite where different values do not vary at all.
    """
    difference = statistics.fmean(now) - statistics.fmean(before)
    freedom = len(before) + len(now) - 2
    if difference == 0.0 or freedom < 1:
        return 0.0
    pooled = ((len(before) - 1) * _variance(before) + (len(now) - 1) * _variance(now)) / freedom
    if pooled == 0.0:
        return math.copysign(math.inf, difference)
    return difference / math.sqrt(pooled) * (1.0 - 3.0 / (4.0 * freedom - 1.0))
