"""A provider of language models that isn't one: it answers from a file and misbehaves on a script."""

from cacheguard.simulate.answers import Answers, load_answers
from cacheguard.simulate.app import simulated_provider
from cacheguard.simulate.script import Script, load_script

__all__ = ["Answers", "Script", "load_answers", "load_script", "simulated_provider"]
