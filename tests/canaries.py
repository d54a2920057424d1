"""Documents of a canary patient, which fail in every way. The name must not leave the buckets."""

import gzip

CANARY = "Canary-Wilhelmina"

_TEXTS = {
    "published": f'[{{"patient_id":"{CANARY}","patient_name":"{CANARY}","diagnosis":"{CANARY}"}}]',
    "published, keys of objects": f'[{{"patient_id":"1","patient_name":"2","{CANARY}":{{"{CANARY}":1}}}}]',
    "escaped": f'[{{"patient_id":"\\u0043anary","patient_name":"{CANARY}\\u0000"}}]',
    "rejected": f'[{{"patient_id":"{CANARY}","patient_name":{{"{CANARY}":1}}}}, "{CANARY}"]',
    "rejected, a number": f'[{{"patient_id":1e999,"patient_name":"{CANARY}"}}]',
    "rejected, white space": f'[{{"patient_id":"{CANARY}","patient_name":" "}}]',
    "broken value": f'[{{"patient_id":"{CANARY}","patient_name":{CANARY}}}]',
    "broken key": f'[{{"{CANARY}:1}}]',
    "broken escape": f'[{{"patient_id":"{CANARY}\\x"}}]',
    "broken half of a pair": f'[{{"patient_id":"{CANARY}\\ud8"}}]',
    "broken skipped value": f'[{{"patient_id":"1","patient_name":"2","scan":{{"{CANARY}" {CANARY}}}}}]',
    "control character": f'[{{"patient_id":"{CANARY}\n"}}]',
    "garbage behind": f'[]"{CANARY}"',
    "garbage between": f'[{{"patient_id":"1","patient_name":"2"}} {CANARY}, {{}}]',
    "broken line": f'{{"patient_id":"1","patient_name":"2"}}\n{{"{CANARY}"\n',
    "cut": f'[{{"patient_id":"{CANARY}',
    "not UTF-8": f'[{{"patient_id":"{CANARY}","patient_name":"\udcff{CANARY}"}}]',
    "not UTF-8, key": f'[{{"patient_id":"{CANARY}","\udcff{CANARY}":1}}]',
    "not UTF-8, outside": f'[{{"patient_id":"{CANARY}"}} \udcff{CANARY}]',
    "lone surrogate": f'[{{"patient_id":"{CANARY}","patient_name":"{CANARY}\\ud800"}}]',
    "lone surrogate, rejected": f'[{{"patient_id":"{CANARY}\\ud800"}}]',
    "NUL": f'[{{"patient_id":"{CANARY}\0"}}]',
    "nested": "[" * 5000 + f'"{CANARY}"',
    "nested record": f'[{{"{CANARY}":' + "[" * 5000 + f'"{CANARY}"',
    "not JSON": CANARY,
}
_BYTES = {name: text.encode(errors="surrogateescape") for name, text in _TEXTS.items()}
_COMPRESSED = gzip.compress(_BYTES["published"])

DOCUMENTS = {
    **_BYTES,
    "gzip": _COMPRESSED,
    "gzip, cut": _COMPRESSED[:-9],
    "gzip, damaged": _COMPRESSED[:-6] + b"\0\0" + _COMPRESSED[-4:],
    "gzip, stored and cut": gzip.compress(_BYTES["published"], compresslevel=0)[:-20],
    "gzip, garbage behind": _COMPRESSED + CANARY.encode(),
    "gzip within gzip": gzip.compress(_COMPRESSED),
}
