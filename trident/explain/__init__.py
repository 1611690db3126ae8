"""One request taken apart: what each step kept and dropped, why an item is in the answer, and why another is not."""
