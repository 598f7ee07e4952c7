"""Instructions to ask, all different: first the twenty-four that ship with xp, then forms of questions about
everyday things."""

import json
from itertools import product
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[2] / "specs" / "data" / "instructions_en.jsonl"

FORMS = (
    "What is {} for?",
    "How does {} work?",
    "Explain to a child of six what {} does.",
    "Who would miss {} most if it disappeared tomorrow, and why?",
    "Write two sentences in praise of {}.",
    "Write a short advertisement for {} that makes no false promise.",
    "I have just bought {}. What should I look after in the first week?",
    "Name three things that can go wrong with {} and what to do about each.",
    "What did people use before there was {}?",
    "Tell me a very short story in which {} is found in an unexpected place.",
    "Which questions should I ask in the shop before I pay for {}?",
    "My neighbour wants to borrow {} for a month. How do I say no in a friendly way?",
    'Make this sentence more polite: "Give me back {} at once."',
    (
        "How would you describe {} to someone who has never seen one? Mention its size, what it is made of"
        " and how it is used."
    ),
    "Give me a riddle whose answer is {}.",
    "Is it better to buy {} new or second-hand? Weigh both and say what you would do.",
    "List four words that come to mind when you think of {}.",
    (
        "I dropped {} on the kitchen floor and it no longer works. It is two years old. Should I repair it,"
        " sell it for parts or throw it away?"
    ),
)
THINGS = (
    "a bicycle lamp",
    "a coffee grinder",
    "a pocket calculator",
    "a garden hose",
    "a pressure cooker",
    "a compass",
    "a sewing machine",
    "an electric kettle",
    "a pair of binoculars",
    "a smoke alarm",
    "a hand-cranked radio with a small solar panel",
    "an umbrella stand",
)


def instructions(n: int) -> list[str]:
    """The first `n` of them. Raises ValueError where there are not so many."""
    shipped = [json.loads(line)["instruction"] for line in SHIPPED.read_text("utf-8").splitlines()]
    written = [form.format(thing) for thing, form in product(THINGS, FORMS)]
    if n > len(shipped) + len(written):
        raise ValueError(f"there are {len(shipped) + len(written)} instructions, not {n}")
    return [*shipped, *written][:n]
