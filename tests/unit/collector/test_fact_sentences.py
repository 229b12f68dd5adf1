"""Every fact that an outage may rest on has its sentence in each language, filled by the values that it carries."""

import tomllib
from importlib.resources import files
from typing import Any

import pytest

from fibrewatch_collector.sla.outages import FACTS


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_fact_has_a_sentence(language: str) -> None:
    text = files("fibrewatch_collector.report.page").joinpath(f"messages/{language}.toml").read_text("utf-8")
    sentences: dict[str, Any] = tomllib.loads(text)["fact"]
    assert FACTS.keys() <= sentences.keys()
