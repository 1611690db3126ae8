"""The synthetic marketplace at rest: its users, its items, and how well each pair fits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from trident.contract import DEVICES
from trident_export.data import words
from trident_export.data.schema import ACCOUNT_TYPES, AGE_LIMITS, ITEMS, USERS
from trident_export.data.truth import DAY, Truth

DIM = len(words.TAGS)
FAVOURITES = 6
CATEGORIES = tuple(words.CATALOGUE)
SUBCATEGORIES = tuple((c, s) for c, subs in words.CATALOGUE.items() for s in subs)
NEW_ITEMS, NEW_USERS = 0.12, 0.10  # shares that appear during the window
FREE_ITEMS, FLAGGED, IN_STOCK, BLOCKED = 0.10, 0.01, 0.95, 0.05


@dataclass(frozen=True)
class Marketplace:
    """Rows of arrays by user (U,) and item (I,); items are in the order of their categories.

    Users: favourites (U, 3) category codes with shares (U, 3) that sum to 1; chronotype code of a daily rhythm; device
    code of the usual one; region code; activity weight; member_since unix seconds; age years. Items: category code;
    age_limit years; blocked (I, regions) bool; free bool; minutes of length.
    """

    truth: Truth
    users: pa.Table
    items: pa.Table
    category: np.ndarray
    favourites: np.ndarray
    shares: np.ndarray
    chronotype: np.ndarray
    device: np.ndarray
    region: np.ndarray
    activity: np.ndarray
    member_since: np.ndarray
    age: np.ndarray
    age_limit: np.ndarray
    blocked: np.ndarray
    free: np.ndarray
    minutes: np.ndarray


def build_marketplace(rng: np.random.Generator, users: int, items: int, start: int, end: int) -> Marketplace:
    """Draw a marketplace of `users` and `items` for events between the unix seconds `start` and `end`."""
    centres = _unit(rng.standard_normal((len(CATEGORIES), DIM)))
    leaves = _unit(rng.standard_normal((len(SUBCATEGORIES), DIM)))
    catalogue = _draw_items(rng, items, start, end, centres, leaves)
    people = _draw_users(rng, users, start, end, centres, leaves)
    truth = Truth(
        user_vectors=people.pop("vectors"),
        item_vectors=catalogue.pop("vectors"),
        user_log_price=people.pop("log_price"),
        item_log_price=catalogue.pop("log_price"),
        quality=catalogue.pop("quality"),
        log_length=np.log(catalogue["minutes"]).astype(np.float32),
        user_language=people.pop("language"),
        item_language=catalogue.pop("language"),
        published_at=catalogue.pop("published_at"),
        category=catalogue["category"],
        popularity=catalogue.pop("popularity"),
        trend=catalogue.pop("trend"),
        favourites=people["favourites"],
        shares=people["shares"],
        start=start,
        end=end,
        planted_reasons=np.array([], "U1"),
        planted_counts=np.array([], np.int64),
    )
    return Marketplace(truth=truth, users=people.pop("table"), items=catalogue.pop("table"), **people, **catalogue)


def _draw_items(
    rng: np.random.Generator, n: int, start: int, end: int, centres: np.ndarray, leaves: np.ndarray
) -> dict:
    weights = 1 / (3 + np.arange(len(CATEGORIES)))
    category = np.sort(rng.choice(len(CATEGORIES), n, p=weights / weights.sum()))
    subcategory = _pick_subcategory(rng, category)
    vectors = _unit(0.7 * centres[category] + 0.45 * leaves[subcategory] + 0.55 * _unit(rng.standard_normal((n, DIM))))
    log_price = rng.normal(_price_levels(rng)[category], 0.5).astype(np.float32)
    free = rng.random(n) < FREE_ITEMS
    minutes = np.exp(rng.normal(3.0, 0.8, n)).clip(1, 300).astype(np.float32)
    window = end - start
    age = np.where(rng.random(n) < NEW_ITEMS, rng.random(n) * window, window + rng.exponential(300 * DAY, n))
    columns = {
        "category": category, "vectors": vectors.astype(np.float32), "free": free, "minutes": minutes,
        "log_price": np.where(free, np.nan, log_price).astype(np.float32),
        "quality": rng.normal(0, 0.4, n).astype(np.float32),
        "language": np.where(rng.random(n) < 0.5, 0, rng.integers(0, len(words.LANGUAGES), n)).astype(np.int8),
        "published_at": (end - age).astype(np.int64),
        "popularity": (1 / (1 + rng.permutation(n)) ** 0.8 + 1e-6).astype(np.float64),
        "trend": rng.choice([-0.04, 0.0, 0.04], n, p=[0.15, 0.7, 0.15]),
        "age_limit": rng.choice(AGE_LIMITS, n, p=[0.82, 0.08, 0.05, 0.05]).astype(np.int32),
        "blocked": (rng.random((n, 1)) < BLOCKED) & (rng.random((n, len(words.REGIONS))) < 0.25),
    }  # fmt: skip
    return {**columns, "table": _item_table(rng, columns, subcategory)}


def _draw_users(
    rng: np.random.Generator, n: int, start: int, end: int, centres: np.ndarray, leaves: np.ndarray
) -> dict:
    window = end - start
    age = rng.gamma(6, 6, n).clip(12, 90).astype(np.int32)
    favourites = _favourite_categories(rng, age)
    shares = -np.sort(-rng.dirichlet(np.full(FAVOURITES, 1.5), n), axis=1)
    leaf = np.stack([_pick_subcategory(rng, favourites[:, k]) for k in range(FAVOURITES)], 1)
    liked = (shares[:, :, None] * (0.75 * centres[favourites] + 0.6 * leaves[leaf])).sum(1)
    region = rng.choice(len(words.REGIONS), n, p=_falling(len(words.REGIONS), 0.8))
    account = rng.choice(len(ACCOUNT_TYPES), n, p=[0.7, 0.2, 0.1])
    older = rng.exponential(500 * DAY, n) + window
    member_for = np.where(rng.random(n) < NEW_USERS, rng.random(n) * 0.9 * window, older)
    columns = {
        "vectors": _unit(_unit(liked) + 0.35 * _unit(rng.standard_normal((n, DIM)))).astype(np.float32),
        "favourites": favourites, "shares": shares, "region": region, "age": age,
        "log_price": rng.normal(2.6 + 0.35 * account, 0.6).astype(np.float32),
        "language": np.array([words.LANGUAGES.index(x) for x in words.REGION_LANGUAGE], np.int8)[region],
        "member_since": (end - member_for).astype(np.int64),
        "chronotype": rng.integers(0, 4, n),
        "device": rng.choice(len(DEVICES), n, p=[0.55, 0.25, 0.08, 0.12]),
        "activity": np.exp(rng.normal(0, 0.9, n)).clip(0.1, 8),
    }  # fmt: skip
    return {**columns, "table": _user_table(rng, columns, account)}


def _favourite_categories(rng: np.random.Generator, age: np.ndarray) -> np.ndarray:
    """FAVOURITES different categories for each user, some likelier at some ages: (U, FAVOURITES) int64."""
    by_age = rng.gamma(1.0, 1.0, (4, len(CATEGORIES)))
    group = np.digitize(age, (20, 35, 55))
    noise = rng.gumbel(size=(len(age), len(CATEGORIES)))
    return np.argsort(-(np.log(by_age[group]) + noise), 1)[:, :FAVOURITES]


def _pick_subcategory(rng: np.random.Generator, category: np.ndarray) -> np.ndarray:
    sizes = np.array([len(subs) for subs in words.CATALOGUE.values()])
    first = np.cumsum(sizes) - sizes
    return first[category] + (rng.random(len(category)) * sizes[category]).astype(np.int64)


def _price_levels(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(2.7, 0.5, len(CATEGORIES))


def _item_table(rng: np.random.Generator, items: dict, subcategory: np.ndarray) -> pa.Table:
    n = len(subcategory)
    price = np.where(items["free"], 0.0, np.exp(np.nan_to_num(items["log_price"].astype(np.float64)))).round(2)
    worn = np.argsort(-items["vectors"], 1)[:, :3]
    kinds = [SUBCATEGORIES[s][1] for s in subcategory]
    regions = np.array(words.REGIONS)
    columns = {
        "item_id": [f"i{k + 1}" for k in range(n)],
        "title": _titles(rng, n),
        "category": [CATEGORIES[c] for c in items["category"]],
        "subcategory": kinds,
        "tags": [[kind, *(words.TAGS[t] for t in row)] for kind, row in zip(kinds, worn, strict=True)],
        "language": [words.LANGUAGES[x] for x in items["language"]],
        "duration_seconds": (items["minutes"].astype(np.float64) * 60).round(),
        "price": price,
        "published_at": timestamps(items["published_at"] * 1000),
        "age_limit": items["age_limit"],
        "blocked_regions": [regions[row].tolist() if row.any() else [] for row in items["blocked"]],
        "flagged": rng.random(n) < FLAGGED,
        "in_stock": rng.random(n) < IN_STOCK,
    }
    return pa.table(columns, schema=ITEMS.arrow)


def _titles(rng: np.random.Generator, n: int) -> list[str]:
    picks = zip(*(rng.integers(0, len(w), n) for w in (words.ADJECTIVES, words.NOUNS, words.PLACES)), strict=True)
    return [f"The {words.ADJECTIVES[a]} {words.NOUNS[b]} of {words.PLACES[c]}" for a, b, c in picks]


def _user_table(rng: np.random.Generator, users: dict, account: np.ndarray) -> pa.Table:
    n = len(account)
    unknown_age = rng.random(n) < 0.03
    columns = {
        "user_id": [f"u{k + 1}" for k in range(n)],
        "age": pa.array(users["age"], pa.int32(), mask=unknown_age),
        "region": [words.REGIONS[r] for r in users["region"]],
        "member_since": timestamps(users["member_since"] * 1000),
        "account_type": [ACCOUNT_TYPES[a] for a in account],
    }
    return pa.table(columns, schema=USERS.arrow)


def timestamps(milliseconds: np.ndarray) -> pa.Array:
    """Unix milliseconds (n,) int64 as the time type of the schema."""
    return pa.array(milliseconds * 1000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def seconds(moment: datetime) -> int:
    """Unix seconds of a moment with a time zone."""
    return int(moment.timestamp())


def _falling(n: int, power: float) -> np.ndarray:
    weights = (1 + np.arange(n)) ** -power
    return weights / weights.sum()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
