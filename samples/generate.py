"""Write synthetic scans to standard output. The same seed gives the same scans.

python samples/generate.py --records 1000000 --shape flat > scans.json
"""  # noqa: INP001 - a program, not a package

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from random import Random

type Record = dict[str, object]

DIAGNOSES = ("normal", "suspected glaucoma", "macular oedema", "drusen", "epiretinal membrane")
SURNAMES = ("Ikerian", "Sample", "Example", "Specimen", "Muster")
LAYERS = ("RNFL", "GCL", "IPL", "INL", "OPL", "ONL", "RPE")
WRITE_AT_ONCE = 1 << 16


def flat(random: Random, index: int) -> Record:
    """Make a scan with the fields of the sample: about 170 bytes."""
    year, month, day = random.randrange(2010, 2026), random.randrange(1, 13), random.randrange(1, 29)
    return {
        "patient_id": f"P{index:07}",
        "patient_name": f"{random.choice(SURNAMES)} {chr(65 + index % 26)}. {index % 1000}",
        "scan_date": f"{year}-{month:02}-{day:02}",
        "retina_thickness_microns": random.randrange(180, 420),
        "optic_disc_cup_ratio": round(random.random(), 2),
        "diagnosis": random.choice(DIAGNOSES),
    }


def nested(random: Random, index: int) -> Record:
    """Make a scan with its layers and a series of measurements: about 1 KiB."""
    layers = [
        {"name": name, "microns": [random.randrange(20, 120) for _ in range(12)], "artefact": None}
        for name in LAYERS
    ]
    return flat(random, index) | {"device": {"maker": "Example AG", "site": {"ward": 7}}, "layers": layers}


def invalid(random: Random, index: int) -> Record:
    """Make a scan that is rejected, for one of several reasons."""
    record = flat(random, index)
    match random.randrange(4):
        case 0:
            del record["patient_id"]
        case 1:
            record["patient_name"] = random.choice(("", "  ", "\N{NO-BREAK SPACE}"))
        case 2:
            record["patient_id"] = index
        case 3:
            record["patient_name"] = None
    return record


def with_braces(random: Random, index: int) -> Record:
    """Make a scan with up to 1 MiB of strings that look like the boundary between two records."""
    fakes = ('"},{"', '},{"patient_id":"', "}]", "[{", '\\"},\\n{', "}\n{")
    notes = [random.choice(fakes) for _ in range(size(random) // 10)]
    return {"notes": notes} | flat(random, index) | {"note": "".join(notes[:50])}


def with_copies(random: Random, index: int) -> Record:
    """Make a scan with up to 1 MiB of nested objects that begin like the scan itself."""
    earlier = [flat(random, index) for _ in range(size(random) // 180)]
    return flat(random, index) | {"earlier": [{"patient_id": "x", "scans": earlier[:3]}, *earlier]}


def in_any_order(random: Random, index: int) -> Record:
    """Make a scan with its keys in random order."""
    items = list(flat(random, index).items())
    random.shuffle(items)
    return dict(items)


def with_escapes(random: Random, index: int) -> Record:
    """Make a scan whose strings need many escapes."""
    text = "".join(random.choice('"\\/\b\f\n\r\t\0\x1fé😀a') for _ in range(40))
    return flat(random, index) | {"patient_name": f"{text} {index}", "note": text * 3}


def with_non_ascii(random: Random, index: int) -> Record:
    """Make a scan with a name that is not ASCII."""
    name = "".join(random.choice("äöüßéçñøłžŷﬁ花子眼科いけりあん네Ωжд") for _ in range(12))
    return flat(random, index) | {"patient_name": f"{name} {index}", "note": name * 5}


def tiny(random: Random, index: int) -> Record:
    """Make a scan with only the two extracted fields."""
    return {"patient_id": str(index), "patient_name": random.choice("abc")}


def number(_random: Random, index: int) -> int:
    """Make a number, which is not a record."""
    return index


def empty(_random: Random, _index: int) -> Record:
    """Make an object without any field."""
    return {}


def damaged(kind: str, scan: bytes) -> bytes:
    """Damage an encoded scan in a way that no JSON encoder would write."""
    match kind:
        case "array":
            return b"[" + scan + b"]"
        case "number":
            return b"7"
        case _:
            key, value = DAMAGES[kind]
            return scan.replace(key, key.removesuffix(b'"') + value)


def separator(index: int) -> bytes:
    """Make a separator: a comma with seven blanks on each side, which differ from record to record."""
    blanks = bytes(b" \t\n\r"[index >> 2 * place & 3] for place in range(7))
    return blanks + b"," + blanks[::-1]


def size(random: Random) -> int:
    """Choose a size in bytes: mostly small, rarely up to 1 MiB."""
    return int(200 * 5000 ** (random.random() ** 12))


SHAPES: dict[str, Callable[[Random, int], Record | int]] = {
    "flat": flat,
    "pretty": flat,
    "nested": nested,
    "lines": flat,
    "gzip": flat,
    "dirty": flat,
    "hostile-braces": with_braces,
    "hostile-copies": with_copies,
    "hostile-order": in_any_order,
    "hostile-escapes": with_escapes,
    "hostile-abroad": with_non_ascii,
    "hostile-tiny": tiny,
    "hostile-gaps": tiny,
    "hostile-surrogates": tiny,
    "hostile-surrogates-abroad": with_non_ascii,
    "hostile-numbers": number,
    "hostile-empty": empty,
}

# Replaced values: a blank, invalid UTF-8, two ids that are not strings, half a surrogate pair.
DAMAGES = {
    "blank": (b'"patient_name":"', b'" ","alias":"'),
    "not-utf8": (b'"patient_name":"', b'"\xff'),
    "1e999": (b'"patient_id":"', b'1e999,"id":"'),
    "nan": (b'"patient_id":"', b'NaN,"id":"'),
    "half-pair": (b'"patient_id":"', rb'"\ud83d'),
}
KINDS = ("array", "number", *DAMAGES)
SHAPES |= {f"dirty-{kind}": flat for kind in KINDS}


def generate(shape: str, records: int, *, seed: int = 1, percent: float = 1) -> Iterator[bytes]:
    """Yield a document of a shape, in pieces. `percent` of the records of a dirty shape are invalid."""
    text = document(shape, records, seed, percent)
    return compressed(text) if shape == "gzip" else text


def document(shape: str, records: int, seed: int, percent: float) -> Iterator[bytes]:
    """Yield the uncompressed document, in pieces."""
    random = Random(seed)  # noqa: S311 - it must be repeatable
    make = SHAPES[shape]
    encode = json.JSONEncoder(
        ensure_ascii=shape == "hostile-escapes",
        indent=2 if shape == "pretty" else None,
        separators=None if shape == "pretty" else (",", ":"),
    ).encode
    opening, closing = (b"", b"\n") if shape == "lines" else (b"[", b"]\n")
    yield opening
    for index in range(records):
        bad = shape.startswith("dirty") and random.random() * 100 < percent
        scan = encode((invalid if bad and shape == "dirty" else make)(random, index)).encode()
        if bad and shape != "dirty":
            scan = damaged(shape.removeprefix("dirty-"), scan)
        if shape.startswith("hostile-surrogates"):
            scan = damaged("half-pair", scan)
        yield (_between(shape, index) if index else b"") + scan
    yield closing


def _between(shape: str, index: int) -> bytes:
    if shape in {"hostile-gaps", "hostile-surrogates"}:
        return separator(index)
    return b"\n" if shape == "lines" else b",\n"


def compressed(text: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the text as gzip, with one member for about every 10,000 records."""
    for member in collected(text, 10_000 * 180):
        yield gzip.compress(member, 6, mtime=0)


def collected(text: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Join pieces into larger ones of at least `size` bytes."""
    pieces, length = [], 0
    for piece in text:
        pieces.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(pieces)
            pieces, length = [], 0
    yield b"".join(pieces)


def main() -> None:
    """Write the document that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--shape", choices=SHAPES, default="flat")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--invalid", type=float, default=1, metavar="PERCENT", help="of a dirty shape")
    options = parser.parse_args()
    scans = generate(options.shape, options.records, seed=options.seed, percent=options.invalid)
    for piece in collected(scans, WRITE_AT_ONCE):
        sys.stdout.buffer.write(piece)


if __name__ == "__main__":
    main()
