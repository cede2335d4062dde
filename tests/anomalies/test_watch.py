"""Detection on labelled traffic, small and seeded; `bench.anomalies` does the same at length."""

import msgspec
import pytest

from bench.anomalies import Score, judge, run, watch
from bench.anomaly_traffic import Label, Series, make_series
from farebox.anomalies.tally import HOUR_MINUTES, Tally
from farebox.anomalies.watch import ACCEPT_HOURS, CALM_HOURS, Watch

WEEK = 168


def steady(calls=100, cost=10**12):
    return Tally(
        calls=calls,
        attempts=calls,
        input_tokens=calls * 1000,
        output_tokens=calls * 100,
        cost_femto=calls * cost,
        output_femto=calls * cost // 2,
    )


def after_weeks(weeks=3):
    """A scope with a season of its own behind it: 100 requests an hour by day, 50 by night, give or take."""
    eye = Watch()
    for hour in range(weeks * WEEK):
        eye.take(hour * HOUR_MINUTES, usual(hour))
        eye.move_to(hour + 1)
    assert eye.episode is None
    return eye


def usual(hour):
    return steady((100 if hour % 24 >= 8 else 50) + hour * 7 % 11)


def pass_hours(eye, hours):
    for used in hours:
        eye.take(eye.hour * HOUR_MINUTES, used)
        eye.move_to(eye.hour + 1)


@pytest.mark.parametrize("volume", [300, 5000])
def test_labelled_traffic_by_the_hour(volume):
    score = run(volume, 24, 8, steps=1)
    assert score.precision >= 0.9
    assert score.recall >= 0.9
    assert score.false_per_month <= 1


def test_few_requests_are_harder_but_do_not_cry_wolf():
    score = run(20, 12, 7, steps=1, seed=77)
    assert score.recall >= 0.5
    assert score.false_per_month <= 1


def test_a_spike_is_told_within_minutes():
    score = Score()
    series = Series(5000, 5, 5, Label("spike", 4 * WEEK + 50, 4 * WEEK + 52, 6.0))
    judge(series, watch(series, HOUR_MINUTES, score), score)
    assert score.delays["spike"][0] <= 5
    assert score.wrong == 0


def test_a_point_takes_less_than_20_us():
    score = Score()
    watch(make_series(300, 4, 1), 1, score)
    assert score.seconds / score.points < 20e-6 * 5  # on a machine that does other things too


def test_an_episode_is_one_and_ends_after_calm_hours():
    eye = after_weeks()
    start = eye.hour
    pass_hours(eye, [steady(400)] * 4)
    episode = eye.episode
    assert episode is not None
    assert episode.end is None
    assert (episode.start, episode.found) == (start * HOUR_MINUTES, (start + 1) * HOUR_MINUTES)
    assert {"requests", "cost"} <= {each.quantity for each in episode.signals}
    pass_hours(eye, [usual(start + 4 + hour) for hour in range(CALM_HOURS)])
    assert eye.episode is episode
    assert episode.end == eye.hour * HOUR_MINUTES


def test_what_is_out_of_the_ordinary_does_not_move_the_level():
    eye = after_weeks()
    level = eye.gauges["requests"].level
    pass_hours(eye, [steady(1000)] * 24)
    assert eye.gauges["requests"].level == pytest.approx(level, abs=0.02)


def test_what_stays_is_accepted():
    eye = after_weeks()
    pass_hours(eye, [steady(300)] * ACCEPT_HOURS)
    assert eye.episode is not None
    assert eye.episode.accepted
    pass_hours(eye, [steady(300)] * 24)
    assert eye.episode.end is not None


def test_a_price_rise_is_told_by_the_price():
    eye = after_weeks()
    pass_hours(eye, [steady(100 if eye.hour % 24 >= 8 else 50, cost=2 * 10**12)])
    assert eye.episode is not None
    assert "price per token" in {each.quantity for each in eye.episode.signals}
    assert "requests" not in {each.quantity for each in eye.episode.signals}


def test_less_than_two_weeks_go_by_a_wide_band():
    eye = Watch()
    pass_hours(eye, [usual(hour) for hour in range(30)])
    pass_hours(eye, [steady(250)])
    assert not eye.is_open()  # twice and a half is nothing yet
    pass_hours(eye, [steady(1500)])
    assert eye.episode is not None
    assert eye.episode.young
    assert eye.episode.signals[0].z == 0


def test_a_young_scope_tells_a_burst_by_the_minute():
    eye = Watch()
    pass_hours(eye, [usual(hour) for hour in range(5)])
    first = eye.hour * HOUR_MINUTES
    for minute in range(first, first + 3):
        eye.take(minute, steady(100))
        eye.look(minute)
    assert eye.episode is not None
    assert eye.episode.found <= first + 3


def test_no_traffic_at_all_is_nothing_to_tell():
    eye = after_weeks()
    pass_hours(eye, [Tally()] * 100)
    assert eye.episode is None
    eye = Watch()
    pass_hours(eye, [Tally()] * 3 * WEEK)
    eye.look(eye.hour * HOUR_MINUTES)
    assert eye.episode is None


def test_a_watch_can_be_kept_and_taken_up_again():
    eye = after_weeks()
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(eye), type=Watch)
    for each in (eye, again):
        pass_hours(each, [steady(400)])
    assert again == eye
    assert again.is_open()


def test_what_comes_back_every_week_is_learned():
    eye = after_weeks()
    told = []
    for _ in range(4):
        for hour in range(WEEK):
            pass_hours(eye, [steady(600) if hour == 10 else usual(eye.hour)])
        told.append(eye.episode is not None and eye.episode.found > (eye.hour - WEEK) * HOUR_MINUTES)
    assert told[0]
    assert not told[-1]
