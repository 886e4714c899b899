"""What the page says of a model: name, terms, limits and card."""

import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.live.about import about
from fer_jax.zoo import ZOO


@pytest.mark.parametrize("name", shipped.names())
def test_models_that_ship_have_their_terms_limits_and_card(name):
    said = about(fer_jax.load_model(name), name)
    assert name in said.line and ZOO[name].terms in said.line
    assert said.limits == " ".join(ZOO[name].limits) and "checked on" in said.limits
    assert said.card.startswith(f"# {name}") and "## Where it fails" in said.card


def test_a_model_of_ones_own_names_its_data(tmp_path):
    model = fer_jax.load_model("faces")
    said = about(model, tmp_path)
    assert "Trained on ferplus, whose terms hold" in said.line and "no card" in said.card
    assert "dataset alone" in said.limits
    (tmp_path / "CARD.md").write_text("# mine\n")
    assert about(model, tmp_path).card == "# mine\n"
    assert about(model).line == said.line  # neither name nor folder is known
