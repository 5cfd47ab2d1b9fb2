"""How long it will still take: a Kalman filter over the seconds that a step takes.

The state is the duration of a step `s` and, if asked for, its drift `d` from one step to the next:

    s' = s + d + w,  d' = d + u        w ~ N(0, (walk s)^2), u ~ N(0, (walk/100 s)^2)
    z  = s' + v                        v ~ N(0, (noise s)^2)

(R. E. Kalman, A New Approach to Linear Filtering and Prediction Problems, 1960; the covariance is updated in
Joseph's form, which stays positive). All noise is relative to the present estimate: steps of a millisecond and of an
hour then give the same relative answer, and there is nothing to be set in seconds.

Why these numbers. `walk` = 0.5 % a step lets the duration wander by 5 % in 100 steps and by 16 % in 1,000, which is
what warming caches, growing batches and neighbours on the machine do; more would follow every single step, less would
take hundreds of steps to believe a lasting change. The first step is believed with an error of its own size, because
it is often the odd one: it compiles. `noise` is not assumed but measured, as the root mean square of what the filter
was surprised by, relative to the larger of step and estimate, beginning with 50 % to the weight of four steps, and
never less than 0.1 %. What lies further off than five standard deviations, a checkpoint for instance, counts as if it
lay at five (Huber, Robust Estimation of a Location Parameter, 1964), so that it moves the estimate but does not take
it over; the variance of the estimate is quadrupled then, so that a change which lasts is followed within a few steps.
On steps with 50 % of normal noise two thirds of the predictions lie within one standard deviation; on steadier ones
more do, because the walk is allowed for.

The variance of what is left, n steps, is that of the sum: n^2 P for not knowing the duration, the walk's
(walk s)^2 n(n+1)(2n+1)/6, and n (noise s)^2 for the steps themselves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WALK = 0.005
_NOISE = 0.5
_WEIGHT = 4.0
_MEMORY = 200.0
_LEAST = 1e-3
_OUTLIER = 5.0
_DOUBT = 4.0
_INSTANT = 1e-9


class Prediction:
    """What is left in seconds, its standard deviation, the duration of a step, and how much the last step counted.

    `remaining` and `uncertainty` are None where the number of steps is not known.
    """

    __slots__ = ("gain", "per_step", "remaining", "uncertainty")

    def __init__(self, remaining: float | None, uncertainty: float | None, per_step: float, gain: float) -> None:
        self.remaining, self.uncertainty, self.per_step, self.gain = remaining, uncertainty, per_step, gain

    def __repr__(self) -> str:
        return f"Prediction(remaining={self.remaining!r}, uncertainty={self.uncertainty!r}, per_step={self.per_step!r})"


class Eta:
    """Predicts what `total` steps will still take, from what each took: `Eta(100).update(0.5).remaining`.

    With `drift` it also learns by how much steps grow longer or shorter, which needs more of them to settle.

    Raises:
        ValueError: if `total` is negative.
    """

    __slots__ = ("_cross", "_drift", "_rate", "_rate_variance", "_surprise", "_variance", "done", "per_step", "total")

    def __init__(self, total: int | None = None, *, drift: bool = False) -> None:
        if total is not None and total < 0:
            raise ValueError(f"the number of steps is {total}, expected 0 or more")
        self.total = total
        self.done = 0
        self.per_step = 0.0
        self._drift = drift
        self._rate = 0.0
        self._variance = self._cross = self._rate_variance = 0.0
        self._surprise = _NOISE**2

    def update(self, seconds: float) -> Prediction:
        """Takes in how long the last step took.

        Raises:
            ValueError: if that is negative or no finite number.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a step took {seconds} s, expected a finite number of seconds from 0")
        self.done += 1
        seconds = max(seconds, _INSTANT)
        if not self.per_step:
            self.per_step = seconds
            self._variance = seconds**2
            self._rate_variance = (_WALK * seconds) ** 2 if self._drift else 0.0
            return self.predict(1.0)
        self._foresee()
        return self.predict(self._correct(seconds))

    def _foresee(self) -> None:
        """One step on, before it is known how long it took."""
        wander = (_WALK * self.per_step) ** 2
        if self._drift:
            self.per_step = max(self.per_step + self._rate, 0.1 * self.per_step)
            self._variance += 2 * self._cross + self._rate_variance
            self._cross += self._rate_variance
            self._rate_variance += wander / 1e4
        self._variance += wander

    def _correct(self, seconds: float) -> float:
        """Takes in a step; the gain."""
        noise = max(self._surprise, _LEAST**2) * self.per_step**2
        expected = self._variance + noise
        reach = _OUTLIER * expected**0.5
        innovation = min(max(seconds - self.per_step, -reach), reach)
        weight = min(self.done + _WEIGHT, _MEMORY)
        self._surprise += ((innovation / max(self.per_step, seconds)) ** 2 - self._surprise) / weight
        if abs(innovation) == reach:
            self._variance *= _DOUBT
            expected = self._variance + noise
        gain, rate_gain = self._variance / expected, self._cross / expected
        self.per_step = max(self.per_step + gain * innovation, _INSTANT)
        self._rate += rate_gain * innovation
        variance, cross = self._variance, self._cross
        self._variance = (1 - gain) ** 2 * variance + gain**2 * noise
        self._cross = (1 - gain) * (cross - rate_gain * variance) + gain * rate_gain * noise
        self._rate_variance += rate_gain * (rate_gain * expected - 2 * cross)
        return gain

    def predict(self, gain: float = 0.0) -> Prediction:
        """What is left, as far as is known now."""
        if self.total is None:
            return Prediction(None, None, self.per_step, gain)
        left = max(self.total - self.done, 0)
        triangle = left * (left + 1) / 2
        mean = max(left * self.per_step + triangle * self._rate, 0.0)
        pyramid = left * (left + 1) * (2 * left + 1) / 6
        variance = left**2 * self._variance + (_WALK * self.per_step) ** 2 * pyramid
        variance += left * max(self._surprise, _LEAST**2) * self.per_step**2
        variance += triangle**2 * self._rate_variance + 2 * left * triangle * max(self._cross, 0.0)
        return Prediction(mean, variance**0.5, self.per_step, gain)


def note(prediction: Prediction, actual: float, moment: int) -> dict[str, Any]:
    """A prediction made at `moment` (ns since 1970), held against what it then took (s), as the log keeps it."""
    return {
        "predicted": prediction.remaining,
        "actual": actual,
        "gain": prediction.gain,
        "uncertainty": prediction.uncertainty,
        "time": moment,
    }
