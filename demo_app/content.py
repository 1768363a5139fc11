"""What the made-up company shows: its work, its journal, its prices and its opening hours."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple


class Job(NamedTuple):
    """A piece of printed work; its picture is `static/<slug>.svg`."""

    slug: str
    title: str
    summary: str
    picture: str
    """The picture in words, for those who cannot see it."""
    facts: dict[str, str]
    text: tuple[str, ...]
    kind: str = "Cards"
    """One of the choices in privacy.toml of what visitors may be interested in."""


class Post(NamedTuple):
    """An entry of the journal."""

    slug: str
    title: str
    written: date
    summary: str
    text: tuple[str, ...]


class Price(NamedTuple):
    """What a quantity of something costs, in Danish kroner with VAT."""

    what: str
    quantity: str
    kroner: int


JOBS: Final = (
    Job(
        "harbour-menu",
        "A menu that survives the soup",
        "Folded menus for Tangboden, a small restaurant on the quay.",
        "A folded menu with three waves and a fish in blue.",
        {"Customer": "Tangboden", "Edition": "120 menus", "Paper": "Cotton, 600 g/m²", "Colours": "Harbour blue, black"},
        (
            "Tangboden changes its menu with the catch, so we printed only what stays: the waves, the name, and a frame. The dishes are "
            "stamped in by hand each morning.",
            "The blue is mixed from two inks and takes two passes. It is dry after a day, and the soup has not hurt it so far.",
        ),
        kind="Menus",
    ),
    Job(
        "heather-wedding",
        "Heather for a wedding",
        "Invitations, menus and place cards in one colour.",
        "An invitation with a sprig of heather in violet.",
        {"Customer": "Karla and Birk", "Edition": "85 sets", "Paper": "Cotton, 300 g/m²", "Colours": "Heather violet"},
        (
            "A sprig picked on the heath at Hald, drawn at the kitchen table, and cut into linoleum. The names are set in hand-cast "
            "Garamond.",
            "All three pieces use the same block at the same size, which kept the price of the set close to that of the invitation alone.",
        ),
    ),
    Job(
        "lighthouse-poster",
        "Posters for the film nights",
        "Six posters in wood type for open-air films under the lighthouse.",
        "A poster with a lighthouse whose beam crosses a dark sky.",
        {
            "Customer": "Fyrtårn Film",
            "Edition": "6 posters, 40 of each",
            "Paper": "Poster board, 250 g/m²",
            "Colours": "Black, signal yellow",
        },
        (
            "The wood type came from a ferry office that closed in the seventies. It has scars, and we left them in.",
            "The beam is a plain sheet of brass. Each week it moved a little further to the right, as the real one does.",
        ),
        kind="Posters",
    ),
    Job(
        "honey-labels",
        "Labels for a beekeeper",
        "Round labels, numbered by hand, for a summer of honey.",
        "A round label with honeycomb cells in amber.",
        {"Customer": "Lyngbi", "Edition": "400 labels", "Paper": "Gummed, 90 g/m²", "Colours": "Amber, black"},
        (
            "Gummed paper curls at the sight of ink. We printed the labels in sheets of nine, weighed them down overnight, and cut them "
            "last.",
            "The number on each label is that of the hive. The bees were not asked.",
        ),
        kind="Labels",
    ),
)

POSTS: Final = (
    Post(
        "how-deep-should-type-bite",
        "How deep should type bite?",
        date(2026, 10, 12),
        "Printers used to be ashamed of an impression that one could feel. Now it is what customers ask for.",
        (
            "For four hundred years a good printer left no dent. Ink on the paper, nothing through it: a page that one could feel was a "
            "page printed badly, and it wore the type down.",
            "Today the dent is why people come to us. We bite as deep as the paper allows without tearing its fibres: about a third of a"
            " millimetre in cotton of 600 grams, and next to nothing in poster board.",
            "If you would like both sides printed, tell us early. A deep impression on one side is a bump on the other.",
        ),
    ),
    Post(
        "choosing-paper",
        "Choosing paper with your eyes shut",
        date(2026, 9, 3),
        "Three papers that we keep in stock, and how to tell them apart by touch.",
        (
            "Ask for our sample box, close your eyes, and rub a corner between two fingers. Cotton feels like a shirt. Poster board "
            "feels like a shoe box. Gummed paper feels like a mistake until it is licked.",
            "Cotton takes the deepest impression and costs the most. For a card that is meant to be kept it is worth it; for a poster "
            "that hangs in the rain for a week it is not.",
        ),
    ),
    Post(
        "the-press-that-came-by-ferry",
        "The press that came by ferry",
        date(2026, 7, 21),
        "Nine hundred kilograms of iron, one pallet jack, and a tide table.",
        (
            "Our second press came from an island where it had printed the same timetable for sixty years. The ferry has a ramp, and the"
            " ramp is level with the quay for forty minutes a day.",
            "We used thirty-eight of them. It has printed since the Friday after, and it still pulls a little to the left.",
        ),
    ),
)

PRICES: Final = (
    Price("Visiting cards, one colour", "100", 1450),
    Price("Visiting cards, two colours", "100", 1980),
    Price("Folded invitations, one colour", "80", 3200),
    Price("Menus, two colours", "50", 2650),
    Price("Posters 50 by 70 cm, two colours", "40", 5400),
    Price("Round labels, two colours", "200", 1890),
)

OPENING_HOURS: Final = {
    "Monday": "closed",
    "Tuesday": "10:00 to 17:00",
    "Wednesday": "10:00 to 17:00",
    "Thursday": "10:00 to 19:00",
    "Friday": "10:00 to 16:00",
    "Saturday": "10:00 to 14:00",
    "Sunday": "closed",
}

JOB_OF: Final = {job.slug: job for job in JOBS}
POST_OF: Final = {post.slug: post for post in POSTS}
