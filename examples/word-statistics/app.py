"""Word statistics of a text: of the one in the event, or of Newton's "Opticks", which is in the package."""

import collections
import pathlib
import re

SHIPPED = pathlib.Path(__file__).with_name("opticks.txt")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE = re.compile(r"[.!?]+(?=\s|$)")


def statistics(text, top=10, min_length=1):
    """Count words without regard to case; only those of at least min_length letters are ranked."""
    words = [w.lower() for w in WORD.findall(text)]
    counts = collections.Counter(words)
    ranked = [(w, n) for w, n in counts.items() if len(w) >= min_length]
    ranked.sort(key=lambda wn: (-wn[1], wn[0]))
    return {
        "words": len(words),
        "distinct": len(counts),
        "sentences": len(SENTENCE.findall(text)),
        "mean_length": round(sum(map(len, words)) / len(words), 2) if words else 0,
        "longest": max(counts, key=lambda w: (len(w), w), default=""),
        "top": [{"word": w, "count": n} for w, n in ranked[:top]],
    }


def handler(event, context):
    top = event.get("top", 10)
    min_length = event.get("min_length", 1)
    for name, value in (("top", top), ("min_length", min_length)):
        if not isinstance(value, int) or not 1 <= value <= 1000:
            raise ValueError(f"{name} must be a whole number from 1 to 1000, not {value!r}")
    text = event.get("text")
    source = "event"
    if text is None:
        source, text = SHIPPED.name, SHIPPED.read_text(encoding="utf-8")
    result = statistics(text, top, min_length)
    print(f"{source}: {result['words']} words, {result['distinct']} distinct")
    return {"source": source, **result}
