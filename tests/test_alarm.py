from farebox.alarm import Alarm


def test_rings_once_about_each_thing(capsys):
    alarm = Alarm()
    alarm.ring("openai/x", "first")
    alarm.ring("openai/x", "again")
    alarm.ring("openai/y", "other")
    assert capsys.readouterr().err == "farebox: ALARM: first\nfarebox: ALARM: other\n"


def test_is_bounded(capsys):
    alarm = Alarm()
    for number in range(5000):
        alarm.ring(str(number), "x")
    assert capsys.readouterr().err.count("\n") == 1000
