"""The words of the synthetic marketplace."""

from __future__ import annotations

CATALOGUE = {
    "music": ("rock", "jazz", "classical", "electronic", "folk"),
    "films": ("drama", "comedy", "thriller", "animation"),
    "series": ("crime", "sitcom", "fantasy", "history"),
    "documentaries": ("nature", "society", "science", "war"),
    "games": ("strategy", "puzzle", "adventure", "racing", "role-playing"),
    "sports": ("football", "cycling", "climbing", "tennis"),
    "news": ("politics", "economy", "local", "world"),
    "podcasts": ("interviews", "true-crime", "comedy-talk", "technology-talk"),
    "audiobooks": ("novels", "biographies", "mysteries", "poetry"),
    "courses": ("programming", "languages", "mathematics", "design", "business"),
    "cooking": ("baking", "vegetarian", "grilling", "asian"),
    "travel": ("cities", "mountains", "beaches", "trains"),
    "fashion": ("shoes", "jackets", "dresses", "accessories"),
    "home": ("furniture", "lighting", "kitchen", "textiles"),
    "garden": ("plants", "tools", "ponds", "seeds"),
    "electronics": ("phones", "cameras", "audio", "computers", "wearables"),
    "toys": ("building", "dolls", "board-games", "models"),
    "beauty": ("skin", "hair", "perfume", "make-up"),
    "fitness": ("yoga", "running", "strength", "nutrition"),
    "pets": ("dogs", "cats", "aquariums", "birds"),
    "cars": ("classics", "electric", "parts", "camping"),
    "art": ("prints", "photography", "sculpture", "supplies"),
    "crafts": ("knitting", "woodwork", "sewing", "paper"),
    "children": ("stories", "songs", "learning", "cartoons"),
}
"""Categories with their subcategories."""

REGIONS = ("US", "DE", "GB", "FR", "ES", "IT", "NL", "PL", "BR", "MX", "JP", "IN")
LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pl", "pt", "ja", "hi")
REGION_LANGUAGE = ("en", "de", "en", "fr", "es", "it", "nl", "pl", "pt", "es", "ja", "hi")

TAGS = (
    "calm", "bold", "classic", "modern", "short", "deep", "funny", "dark", "bright", "family", "award", "indie",
    "bestseller", "handmade", "retro", "premium",
)  # fmt: skip
"""One tag for each dimension of the latent vectors; an item wears those of its largest dimensions."""

ADJECTIVES = (
    "Quiet", "Golden", "Distant", "Wild", "Hidden", "Silver", "Endless", "Gentle", "Broken", "Electric", "Northern",
    "Little", "Great", "Secret", "Burning", "Frozen", "Early", "Last", "Paper", "Crimson", "Hollow", "Lucky", "Slow",
    "Second", "Restless", "Salt", "Velvet", "Wooden", "Open", "Bitter",
)  # fmt: skip
NOUNS = (
    "River", "Garden", "Harbour", "Machine", "Letter", "Mountain", "Window", "Orchard", "Signal", "Island", "Kitchen",
    "Lantern", "Bridge", "Forest", "Compass", "Mirror", "Station", "Winter", "Summer", "Market", "Stone", "Feather",
    "Engine", "Circle", "Shadow", "Journey", "Island Road", "Clock", "Library", "Meadow",
)  # fmt: skip
PLACES = (
    "Oslo", "Lisbon", "Kyoto", "Porto", "Bergen", "Vienna", "Havana", "Cusco", "Tallinn", "Ghent", "Naples", "Lima",
    "Dakar", "Seville", "Zagreb", "Turku", "Cork", "Basel", "Nara", "Leipzig",
)  # fmt: skip
