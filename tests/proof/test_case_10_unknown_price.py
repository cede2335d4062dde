"""Case 10: a price that is not known is refused under a hard budget and never taken for nothing."""

import pytest

from farebox.errors import ConfigError
from farebox.state.pricebook import load_book
from tests.proof.house import open_house

ALIASES = """
[[models]]
name = "alias-of-nothing"
targets = [{ provider = "openai", model = "no-such-model" }]
"""
PRICES = """
[[prices]]
provider = "openai"
model = "mine"
input = {price}
output = "1"
source = "contract"
"""


@pytest.mark.parametrize("model", ["openai/no-such-model", "alias-of-nothing"])
def test_case_10_unknown_price_is_refused(tmp_path, model):
    with open_house(tmp_path, config=ALIASES) as house:
        answer = house.call(model=model)
        assert (answer.status, answer.code) == (402, "price_unknown")
        assert "no-such-model" in answer.body.decode()
        assert not house.rows()
        assert not house.records()
        assert house.call().status == 200
        assert house.finish() == []


@pytest.mark.parametrize("price", ['"-1"', '"nan"', '"inf"', "0.1", '""', "true"])
def test_case_10_prices_that_are_none_are_refused_when_they_are_read(tmp_path, price):
    path = tmp_path / "prices.toml"
    path.write_text(PRICES.format(price=price))
    with pytest.raises(ConfigError, match="input"):
        load_book([path])


def test_case_10_the_same_file_with_a_price_is_read(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(PRICES.format(price='"1"'))
    assert load_book([path]).find_model("openai", "mine") is not None
