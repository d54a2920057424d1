"""The contenders of the benchmark: each does the whole job in a process of its own, on one core.

python -m tests.benchmarks.contenders NAME INPUT OUTPUT

The job: read scans from a file, drop records whose patient_id or patient_name is not a string or is blank,
and write these two fields of all others as JSON. It prints a JSON object: seconds without imports, peak
memory of the process in bytes, and the version of the library.
"""

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from itertools import batched
from pathlib import Path
from typing import Any

FIELDS = ("patient_id", "patient_name")
READ = 64 * 1024
SQL = """
    COPY (SELECT patient_id, patient_name
          FROM read_json(?, format = ?, columns = {patient_id: 'VARCHAR', patient_name: 'VARCHAR'},
                         maximum_object_size = 16777216)
          WHERE trim(patient_id) <> '' AND trim(patient_name) <> '')
    TO '%s' (FORMAT json, ARRAY true, USE_TMP_FILE false)
"""

type Job = Callable[[str, str], None]


def chosen(records: Iterable[Any]) -> list[dict[str, str]]:
    """Select valid records and their fields, in the usual way of a Lambda function."""
    return [
        {"patient_id": identity, "patient_name": name}
        for record in records
        if isinstance(record, dict)
        and isinstance(identity := record.get("patient_id"), str)
        and identity.strip()
        and isinstance(name := record.get("patient_name"), str)
        and name.strip()
    ]


def fault(record: Any) -> str:
    """Say why a record is invalid. A valid record has no fault."""
    if not isinstance(record, dict):
        return "not an object"
    for name in FIELDS:
        value = record.get(name)
        if not isinstance(value, str):
            return f"{name}: not a string"
        if not value.strip():
            return f"{name}: blank"
    return ""


def read(source: str, _output: str) -> None:
    """Only read: the upper limit."""
    with Path(source).open("rb", buffering=0) as file:
        while file.read(READ):
            pass


def ours() -> Job:
    extract = importlib.import_module("chalicelib.extraction").extract

    def job(source: str, output: str) -> None:
        with Path(source).open("rb", buffering=0) as file, Path(output).open("wb") as out:
            extract(iter(lambda: file.read(READ), b""), out.write, lambda _line: None)

    return job


def stdlib() -> Job:
    def job(source: str, output: str) -> None:
        Path(output).write_text(json.dumps(chosen(json.loads(Path(source).read_bytes()))))

    return job


def stdlib_that_keeps() -> Job:
    """Keep each rejected record with its index and reason, as the extraction does, instead of dropping it."""

    def job(source: str, output: str) -> None:
        valid, rejected = [], []
        for index, record in enumerate(json.loads(Path(source).read_bytes())):
            if reason := fault(record):
                rejected.append({"index": index, "reason": reason, "record": record})
            else:
                valid.append({name: record[name] for name in FIELDS})
        Path(output).write_text(json.dumps(valid))
        Path(output).write_text(json.dumps(rejected))

    return job


def orjson() -> Job:
    orjson = importlib.import_module("orjson")

    def job(source: str, output: str) -> None:
        Path(output).write_bytes(orjson.dumps(chosen(orjson.loads(Path(source).read_bytes()))))

    return job


def fastsimdjson() -> Job:
    fastsimdjson = importlib.import_module("fastsimdjson")

    def job(source: str, output: str) -> None:
        # It is lazy: only the fields that are read become Python objects.
        Path(output).write_bytes(fastsimdjson.dumpb(chosen(fastsimdjson.parse(Path(source).read_bytes()))))

    return job


def msgspec() -> Job:
    msgspec = importlib.import_module("msgspec")
    record = msgspec.defstruct("Record", [(name, str) for name in FIELDS], gc=False)
    decode, encode = msgspec.json.Decoder(list[record]).decode, msgspec.json.Encoder().encode  # type: ignore[valid-type]

    def job(source: str, output: str) -> None:
        records: list[Any] = decode(Path(source).read_bytes())
        Path(output).write_bytes(
            encode([each for each in records if each.patient_id.strip() and each.patient_name.strip()])
        )

    return job


def ijson() -> Job:
    items = importlib.import_module("ijson").get_backend("yajl2_c").items

    def job(source: str, output: str) -> None:
        with Path(source).open("rb") as file, Path(output).open("w") as out:
            gap = "["
            for records in batched(items(file, "item", use_float=True), 1000):
                out.write(gap + json.dumps(chosen(records))[1:-1])
                gap = ", "
            out.write("]")

    return job


def duckdb(layout: str) -> Job:
    connection = importlib.import_module("duckdb").connect()
    connection.execute("SET threads = 1")
    return lambda source, output: connection.execute(SQL % output, [source, layout])


def polars(layout: str) -> Job:
    polars = importlib.import_module("polars")
    schema = dict.fromkeys(FIELDS, polars.String)

    def job(source: str, output: str) -> None:
        scans = (
            polars.scan_ndjson(source, schema=schema)
            if layout == "newline_delimited"
            else polars.read_json(source, schema=schema).lazy()
        )
        filled = [polars.col(name).str.strip_chars() != "" for name in FIELDS]
        scans.filter(*filled).collect().write_json(output)

    return job


CONTENDERS: dict[str, tuple[str, Callable[[], Job]]] = {
    "ours": ("msgspec", ours),
    "stdlib": ("", stdlib),
    "stdlib, rejections kept": ("", stdlib_that_keeps),
    "orjson": ("orjson", orjson),
    "fastsimdjson": ("fastsimdjson", fastsimdjson),
    "msgspec, whole file": ("msgspec", msgspec),
    "ijson (yajl2_c)": ("ijson", ijson),
    "duckdb, array": ("duckdb", lambda: duckdb("array")),
    "duckdb, lines": ("duckdb", lambda: duckdb("newline_delimited")),
    "polars, array": ("polars", lambda: polars("array")),
    "polars, lines": ("polars", lambda: polars("newline_delimited")),
    "bare read": ("", lambda: read),
}


def peak_memory() -> int:
    """Measure the peak of this program. getrusage would include what the parent process had."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def main(name: str, source: str, output: str) -> None:
    package, prepare = CONTENDERS[name]
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    job = prepare()
    started = time.perf_counter()
    job(source, output)
    seconds = time.perf_counter() - started
    peak = peak_memory()
    python = ".".join(map(str, sys.version_info[:3]))
    used = (
        f"{package} {importlib.import_module('importlib.metadata').version(package)}"
        if package
        else f"Python {python}"
    )
    json.dump({"seconds": seconds, "peak": peak, "version": used}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
